// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// pipeTime is how long the output of a process that has ended may stay open, because something that it started has it.
const pipeTime = 5 * time.Second

// passedOn are the environment variables that the process of an operation gets: those of the Manager may hold secrets.
var passedOn = []string{
	"PATH", "HOME", "TMPDIR", "TMP", "TEMP", "TZ", "LANG", "LC_ALL", "USERPROFILE", "LOCALAPPDATA", "APPDATA", "SYSTEMROOT", "PATHEXT",
}

func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return !slices.Contains(passedOn, strings.ToUpper(name))
	})
}

// runProcess runs the process of an operation to its end, and says in a few words how that was. When ctx ends the process
// is asked to end, and killed if it does not.
func (r *run) runProcess(ctx context.Context) (how string) {
	log := r.service.openLog(r.operation.ID)
	defer log.close()
	p := &process{cmd: exec.Command(r.service.Executable, ChildArg), exited: make(chan struct{})} //nolint:noctx // it gets time to end by itself
	p.cmd.Env = environment()
	p.cmd.Stdout = &checked{&messages{each: r.heard}, p.kill}
	p.cmd.Stderr = log
	p.cmd.WaitDelay = pipeTime
	isolate(p.cmd)
	stdin, err := p.cmd.StdinPipe() // open until the process has ended
	if err == nil {
		err = p.start()
	}
	if err != nil {
		return "cannot be started: " + err.Error()
	}
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { p.endWith(ctx, r.service.Grace) })
	helpers.Go(func() {
		// A process that does not read this ends, or is killed; either ends the writing.
		_ = json.NewEncoder(stdin).Encode(order{
			Setup: r.service.Setup, ID: r.operation.ID, Run: r.operation.Runs, Kind: r.operation.Kind,
			Params: r.operation.Params, LockNames: r.locks,
		})
	})
	err = p.wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "exit status 0"
	case errors.As(err, &exit):
		return exit.String()
	}
	return fmt.Sprint(p.cmd.ProcessState, ", ", err)
}

// process is a process that can be ended together with all that it started.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu   sync.Mutex
	gone bool // it was waited for: its number may be somebody else's
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Start()
}

func (p *process) wait() error {
	err := p.cmd.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	close(p.exited)
	return err
}

// endWith ends the process when ctx ends.
func (p *process) endWith(ctx context.Context, grace time.Duration) {
	select {
	case <-p.exited:
		return
	case <-ctx.Done():
	}
	p.signal(terminate)
	select {
	case <-p.exited:
	case <-time.After(grace):
		p.kill()
	}
}

func (p *process) kill() { p.signal(killGroup) }

func (p *process) signal(send func(*exec.Cmd) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone && p.cmd.Process != nil {
		_ = send(p.cmd) // it fails only for a process that has ended
	}
}

// checked is a writer that calls failed when it does not take something.
type checked struct {
	writer *messages
	failed func()
}

// Write implements io.Writer.
func (c *checked) Write(p []byte) (int, error) {
	n, err := c.writer.Write(p)
	if err != nil {
		c.failed()
	}
	return n, err
}
