// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// tree is the command, seen from its shim. What else the command starts is in the parent's job object, which ends it.
type tree struct {
	process *os.Process
	exited  chan exit
	changed chan struct{} // never written to
	gone    chan struct{}
}

func startTree(o order) (*tree, started, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, started{}, err
	}
	defer null.Close()
	process, err := os.StartProcess(o.Path, append([]string{o.Path}, o.Args...), &os.ProcAttr{
		Dir:   o.Dir,
		Files: []*os.File{null, os.Stdout, os.Stdout},
		Sys:   &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP},
	})
	if err != nil {
		return nil, started{}, err
	}
	t := &tree{process: process, exited: make(chan exit, 1), changed: make(chan struct{}), gone: make(chan struct{})}
	go t.wait()
	return t, started{Pid: process.Pid}, nil
}

func (t *tree) wait() {
	defer close(t.gone)
	e := exit{Code: -1}
	if state, err := t.process.Wait(); err == nil {
		e.Code = state.ExitCode()
	}
	t.exited <- e
}

// terminate sends Ctrl-Break, which reaches programs that share our console.
func (t *tree) terminate() bool {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(t.process.Pid)) == nil
}

func (t *tree) kill() { _ = t.process.Kill() }

func (t *tree) close() {}
