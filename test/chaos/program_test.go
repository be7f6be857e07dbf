// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// program is a real process that is killed and started again in its folder.
type program struct {
	t         *testing.T
	name      string
	path, arg string
	dir       string

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.Closer
	now   *instance // nil = it was not started yet
	log   *os.File
	began int64 // where the log of the present process begins
}

// instance is one process of a program.
type instance struct {
	ended chan struct{}
	ours  atomic.Bool // we ended it
}

func newProgram(t *testing.T, name, path, arg, dir string) *program {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, name: name, path: path, arg: arg, dir: dir}
	var err error
	if p.log, err = os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.kill()
		p.report()
		_ = p.log.Close()
	})
	return p
}

// start starts the process.
func (p *program) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	info, err := p.log.Stat()
	if err == nil {
		p.began = info.Size()
	}
	p.cmd = exec.Command(p.path, p.arg) //nolint:noctx // it is killed by the test
	p.cmd.Dir = p.dir
	p.cmd.Env = append(os.Environ(), "FLAMENCO_HOME="+filepath.Join(p.dir, "home"), "GORACE=halt_on_error=0")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		err = p.cmd.Start()
	}
	one := &instance{ended: make(chan struct{})}
	p.now = one
	if err != nil {
		p.t.Errorf("%s: %v", p.name, err)
		close(one.ended)
		return
	}
	go func(cmd *exec.Cmd) {
		defer close(one.ended)
		_ = cmd.Wait() // how it ended is in its log
	}(p.cmd)
}

// present is the process that was started last.
func (p *program) present() *instance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *program) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended by itself
	}
}

// kill ends the process as kill -9 does, and waits for that.
func (p *program) kill() {
	one := p.present()
	if one == nil {
		return
	}
	one.ours.Store(true)
	p.signal(syscall.SIGKILL)
	<-one.ended
}

// end ends the process as a user would.
func (p *program) end() {
	one := p.present()
	one.ours.Store(true)
	p.signal(syscall.SIGTERM)
	select {
	case <-one.ended:
	case <-time.After(patience):
		p.t.Errorf("%s does not end", p.name)
	}
}

// said reports whether the present process wrote this into its log.
func (p *program) said(text string) bool {
	p.mu.Lock()
	began := p.began
	p.mu.Unlock()
	log, err := os.ReadFile(p.log.Name())
	return err == nil && int64(len(log)) > began && bytes.Contains(log[began:], []byte(text))
}

// awaitSaid waits until the present process has written something into its log.
func (p *program) awaitSaid(ctx context.Context, text string) bool {
	for !p.said(text) {
		if pause(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// report looks through the log for what must not be there, and shows its end if the test failed.
func (p *program) report() {
	log, err := os.ReadFile(p.log.Name())
	if err != nil {
		p.t.Error(err)
	}
	for _, bad := range []string{"DATA RACE", "panic", "fatal error:"} {
		if at := bytes.Index(log, []byte(bad)); at >= 0 {
			p.t.Errorf("%s: %s\n%s", p.name, bad, log[max(0, at-200):min(len(log), at+4000)])
		}
	}
	if p.t.Failed() {
		p.t.Logf("%s, the end of its log:\n%s", p.name, log[max(0, len(log)-3000):])
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte("ERR")) && !bytes.Contains(line, []byte("database")) {
				p.t.Logf("%s: %s", p.name, line)
			}
		}
	}
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
