// SPDX-License-Identifier: GPL-3.0-or-later

package postgres

import (
	"errors"
	"os/exec"
)

func giveToServer(string) error { return nil }

func asServer(*exec.Cmd) {}

func startChild(command *exec.Cmd) error { return command.Start() }

var errNotHere = errors.New("tests with PostgreSQL run on Unix only")

// Stop is for Unix only.
func (s *Server) Stop() error { return errNotHere }

// Kill is for Unix only.
func (s *Server) Kill() error { return errNotHere }
