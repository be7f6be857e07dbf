// SPDX-License-Identifier: GPL-3.0-or-later

// Package program owns the real programs that tests build and run as processes. It must not know what they do.
package program

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Build makes the programs of the module, whose root is two folders above the package under test.
func Build(t testing.TB) (folder string) {
	t.Helper()
	folder = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", folder+"/", "./cmd/flamenco-manager", "./cmd/flamenco-worker", "./cmd/flamenco")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the programs: %v\n%s", err, out)
	}
	return folder
}

// Program is started again and again in its folder.
type Program struct {
	Dir  string
	Cmd  *exec.Cmd // of the last start
	t    testing.TB
	path string
	args []string
	log  bytes.Buffer
}

// New makes a Program that does not run yet.
func New(t testing.TB, dir, path string, args ...string) *Program {
	return &Program{t: t, path: path, Dir: dir, args: args}
}

// Start starts it. It is killed when the test ends, whose failure shows the end of what it wrote.
func (p *Program) Start() {
	p.t.Helper()
	p.Cmd = exec.Command(p.path, p.args...) //nolint:noctx // it is killed by the test
	p.Cmd.Dir = p.Dir
	p.Cmd.Env = append(os.Environ(), "FLAMENCO_HOME="+filepath.Join(p.Dir, "home"))
	p.Cmd.Stdout, p.Cmd.Stderr = &p.log, &p.log
	if err := p.Cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	cmd := p.Cmd
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // somebody may have waited before
		if p.t.Failed() && cmd == p.Cmd {
			text := p.log.String()
			p.t.Logf("%s:\n%s", filepath.Base(p.Dir), text[max(0, len(text)-5000):])
		}
	})
}

// Kill ends the process as kill -9 does.
func (p *Program) Kill() {
	p.t.Helper()
	if err := p.Cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.Cmd.Wait() // says that it was killed
}

// Terminate asks the process to end.
func (p *Program) Terminate() {
	p.t.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// End ends the process as a user would.
func (p *Program) End() {
	p.t.Helper()
	p.Terminate()
	_ = p.Cmd.Wait() // a signal may be an exit code of its own
}
