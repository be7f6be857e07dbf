// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
	"time"
)

// serverUser is who runs the server when the tests are run by root, which PostgreSQL refuses.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else is needed
	}
	var who *user.User
	var err error
	for _, name := range []string{"postgres", "nobody"} {
		if who, err = user.Lookup(name); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func giveToServer(folder string) error {
	who, err := serverUser()
	if who == nil || err != nil {
		return err
	}
	return os.Chown(folder, int(who.Uid), int(who.Gid))
}

func asServer(command *exec.Cmd) {
	who, err := serverUser()
	if err != nil {
		command.Err = errors.Join(command.Err, err)
	}
	command.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
}

// Stop lets the server end as for a restart: connections are cut, what is committed is kept.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server as a crash does.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(signal syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	if err := s.process.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.ended:
		s.process = nil
		return nil
	case <-time.After(patience):
		return fmt.Errorf("postgres does not end: %s", s.output.String())
	}
}
