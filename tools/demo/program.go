// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// stopGrace is how long a program may take to end when it is asked to. A Worker may have a Blender to end first.
const stopGrace = 10 * time.Second

// program is one that the demo started.
type program struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	err     error         // how it ended, once done is closed
}

// start runs a program whose output goes to a log file of its name.
func (f *farm) start(name, folder string, env []string, path string, args ...string) (*program, error) {
	log, err := os.Create(filepath.Join(f.logs, name+".log"))
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", name, err)
	}
	defer log.Close()
	p := &program{name: name, logPath: log.Name(), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = folder
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	detach(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	f.programs = append(f.programs, p)
	return p, nil
}

// stop ends all programs, the last one first: Workers sign off before their Manager goes.
func (f *farm) stop() {
	for _, p := range slices.Backward(f.programs) {
		p.stop()
	}
}

// stop asks the program to end, and ends it when it does not.
func (p *program) stop() {
	interrupt(p.cmd.Process)
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-grace.C:
		_ = p.cmd.Process.Kill() // it may have ended in this moment, which is all that is wanted
		<-p.done
	}
}

// whileRunning is ctx, ended also when a program of the farm ends. The cause is then a programError.
func (f *farm) whileRunning(ctx context.Context) (context.Context, context.CancelFunc) {
	running, cancel := context.WithCancelCause(ctx)
	for _, p := range f.programs {
		go func() {
			select {
			case <-p.done:
				cancel(p.failure(fmt.Errorf("%s has ended: %w", p.name, orSuccess(p.err))))
			case <-running.Done():
			}
		}()
	}
	return running, func() { cancel(context.Canceled) }
}

// orSuccess puts the success of a program that should go on in words.
func orSuccess(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}

// programError is a failure with the last words of the program that is to blame.
type programError struct {
	err     error
	logPath string
	tail    string
}

func (e *programError) Error() string { return e.err.Error() }
func (e *programError) Unwrap() error { return e.err }

func (p *program) failure(err error) *programError {
	return &programError{err: err, logPath: p.logPath, tail: tail(p.logPath)}
}

const (
	tailBytes = 4096
	tailLines = 20
)

// tail is the last lines of a file, "" if it cannot be read.
func tail(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := file.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-tailLines):], "\n  ")
}
