// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
)

// killGrace is how long after the time limit a compiler process may still say in which line it hung, before it is killed.
const killGrace = 500 * time.Millisecond

// errNotStarted says that a compiler process ended before it took its order, so that another one may get it.
var errNotStarted = errors.New("the compiler process ended before it started")

// maxCrashText bounds what is kept of a crash report.
const maxCrashText = 16 << 10

// process is a compiler process that waits for its one order, or carries it out.
type process struct {
	cmd    *exec.Cmd
	setup  setup
	stdin  io.WriteCloser
	stdout *json.Decoder
	stderr chan struct{} // closed when all of stderr was read
	crash  bytes.Buffer  // the start of what was on stderr and no log line; read it after stderr is closed

	mu     sync.Mutex
	log    *slog.Logger // where scripts print to
	reaped bool         // the process id may belong to somebody else now
}

// startProcess starts a compiler process and sends it the setup. The caller must end it, also when ctx is over.
func startProcess(ctx context.Context, executable string, s setup, log *slog.Logger) (*process, error) {
	cmd := exec.Command(executable, CompileArg) //nolint:noctx // a spare outlives the call that starts it
	cmd.Env = []string{}                        // nil would be the Manager's own, with its secrets
	if zone, ok := os.LookupEnv("TZ"); ok {
		cmd.Env = append(cmd.Env, "TZ="+zone) // formatTimestampLocal gives the Manager's local time
	}
	isolate(cmd)
	p := &process{cmd: cmd, setup: s, stderr: make(chan struct{}), log: log}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	stderr, err3 := cmd.StderrPipe()
	if err := errors.Join(err1, err2, err3, cmd.Start()); err != nil {
		return nil, fmt.Errorf("starting the compiler process: %w", err)
	}
	p.stdin = stdin
	p.stdout = json.NewDecoder(io.LimitReader(stdout, s.MaxOutput+1<<20)) // room for what is around the tasks
	p.stdout.UseNumber()
	go p.readStderr(stderr)
	if err := p.send(ctx, s); err != nil {
		defer p.end()
		return nil, fmt.Errorf("starting the compiler process: %w", p.crashed(err))
	}
	return p, nil
}

// send writes one message. When ctx ends the process is killed, which ends the writing.
func (p *process) send(ctx context.Context, message any) error {
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	return json.NewEncoder(p.stdin).Encode(message)
}

// awaitReady waits until the process has set itself up.
func (p *process) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.setup.TimeLimit+killGrace)
	defer cancel()
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	var r reply
	if err := p.stdout.Decode(&r); err != nil || !r.Ready {
		return fmt.Errorf("starting the compiler process: %w", p.crashed(err))
	}
	return nil
}

// carryOut sends the order and hands the replies to take, until the last one. It returns errNotStarted if the process
// had ended before, and a *farm.Error for all that is the script's fault.
func (p *process) carryOut(ctx context.Context, o order, take func(reply) error) error {
	p.mu.Lock()
	p.log = p.log.With("script", o.Script)
	p.mu.Unlock()
	limit := p.setup.TimeLimit + killGrace
	expired := make(chan struct{})
	clock := time.AfterFunc(limit, func() {
		close(expired)
		p.kill()
	})
	defer clock.Stop()
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()

	started := false
	err := p.send(ctx, o)
	for err == nil {
		var r reply
		if err = p.stdout.Decode(&r); err != nil {
			break
		}
		switch {
		case r.Ready:
		case r.Started:
			started = true
			if clock.Stop() { // getting ready is not the script's doing
				clock.Reset(limit)
			}
		case r.Failure != nil:
			return r.Failure.err()
		default:
			if err := take(r); err != nil || r.Job != nil || r.JobType != nil {
				return err
			}
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case isClosed(expired):
		return (&failure{Script: o.Script, Message: timeMessage(p.setup.TimeLimit)}).err()
	case !started:
		return fmt.Errorf("%w: %w", errNotStarted, p.crashed(err))
	}
	return p.blame(o.Script, err)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// blame makes an error for the submitter of a process that ended without a result, or that sent nonsense.
func (p *process) blame(script string, err error) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	message := "the compiler process crashed while it ran"
	switch crash := p.crashed(err); {
	case errors.As(err, &syntax), errors.As(err, &mistyped):
		message = "it made tasks that cannot be read: " + err.Error()
	case p.overCPU():
		message = timeMessage(p.setup.TimeLimit)
	case p.crash.Len() > 0:
		first, _, _ := bytes.Cut(p.crash.Bytes(), []byte("\n"))
		message += ": " + shorten(string(first), 200)
	default:
		message += ": " + crash.Error()
	}
	return (&failure{Script: script, Message: message}).err()
}

// crashed waits for a process whose pipes broke and says how it ended.
func (p *process) crashed(err error) error {
	if state := p.reap(); state != nil {
		return fmt.Errorf("%s: %w", state, err)
	}
	return err
}

// kill ends the process at once. It does nothing when the process was waited for.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = killGroup(p.cmd) // it fails only for a process that has ended
	}
}

// end kills the process and releases everything of it. Ending it twice is fine.
func (p *process) end() {
	p.kill()
	p.reap()
}

// reap waits for a process that ended, or that is about to because its pipes broke, and returns how it ended.
func (p *process) reap() *os.ProcessState {
	_ = p.stdin.Close() // without it a healthy process would wait for more
	<-p.stderr
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.reaped = true
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}
	return p.cmd.ProcessState
}

// readStderr hands log lines to the log as they come, so that they are there even if the script never ends.
func (p *process) readStderr(stderr io.Reader) {
	defer close(p.stderr)
	lines := bufio.NewReaderSize(stderr, maxLogBytes*8) // a log line in JSON, at its worst
	for logged := 0; ; {
		line, err := lines.ReadSlice('\n')
		var l logLine
		if json.Unmarshal(line, &l) == nil && l.Text != "" {
			if logged++; logged <= maxLogLines+1 {
				p.logScript(l)
			}
		} else if room := maxCrashText - p.crash.Len(); room > 0 {
			p.crash.Write(line[:min(room, len(line))])
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (p *process) logScript(l logLine) {
	p.mu.Lock()
	log := p.log
	p.mu.Unlock()
	level := slog.LevelInfo
	if l.Level == "alert" {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "job type script: "+l.Text)
}

// err is the failure as the submitter sees it.
func (f *failure) err() error {
	if f.Line > 0 {
		return farm.Errorf(farm.CodeInvalid, "script %s, line %d: %s", f.Script, f.Line, f.Message)
	}
	return farm.Errorf(farm.CodeInvalid, "script %s: %s", f.Script, f.Message)
}
