// SPDX-License-Identifier: GPL-3.0-or-later

package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/kardianos/service"
)

// Command is the word that makes a program control its service: the first of its arguments.
const Command = "service"

// Exit codes of the command; those of status are the ones of Linux' init scripts.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitStopped      = 3
	exitNotInstalled = 4
)

// variables collects -env.
type variables []string

func (v *variables) String() string { return fmt.Sprint(*v) }

func (v *variables) Set(text string) error {
	*v = append(*v, text)
	return nil
}

// actions are what can be done with a service, install and show apart.
var actions = []string{"uninstall", "start", "stop", "status"}

// Main carries out the words behind Command, and answers the exit code.
func (p Program) Main(args []string, stdout, stderr io.Writer) int {
	usage := func() {
		_, _ = fmt.Fprintf(stderr, "Usage: %s %s install|uninstall|start|stop|status|show [options]\n", p.Name, Command)
	}
	if len(args) == 0 {
		usage()
		return exitUsage
	}
	action, installs := args[0], args[0] == "install" || args[0] == "show"
	flags := flag.NewFlagSet(p.Name+" "+Command+" "+action, flag.ContinueOnError)
	flags.SetOutput(stderr)
	s := Setup{}
	dryRun := false
	flags.StringVar(&s.Name, "name", p.Name, "`name` of the service")
	if installs {
		flags.StringVar(&s.User, "user", os.Getenv("SUDO_USER"), "`account` that it runs as")
		flags.StringVar(&s.Dir, "dir", ".", "its working `folder`, to which it may write")
		flags.StringVar(&s.Config, "config", "", "`path` of its configuration (default: "+p.ConfigFile+" in that folder)")
		flags.Var((*variables)(&s.Env), "env", "`NAME=VALUE` in its environment; may be given several times")
		flags.BoolVar(&dryRun, "dry-run", action == "show", "show what would be written, and do nothing")
	} else if !slices.Contains(actions, action) {
		usage()
		return exitUsage
	}
	switch err := flags.Parse(args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		_, _ = fmt.Fprintf(stderr, "unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if err := p.complete(&s, installs); err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: %v\n", p.Name, err)
		return exitUsage
	}
	if dryRun {
		_, _ = io.WriteString(stdout, p.show(s))
		return exitOK
	}
	code, err := p.do(action, s, stdout)
	if err != nil {
		_, _ = fmt.Fprintf(stderr, "%s: cannot %s the service %s: %v\n", p.Name, action, s.Name, err)
	}
	return code
}

// complete fills in what was not said, and checks what matters for the action.
func (p Program) complete(s *Setup, installs bool) (err error) {
	if s.Executable, err = own(); err != nil {
		return err
	}
	if s.Dir, err = filepath.Abs(s.Dir); err != nil {
		return err
	}
	if s.Config == "" {
		s.Config = filepath.Join(s.Dir, p.ConfigFile)
	}
	if s.Config, err = filepath.Abs(s.Config); err != nil {
		return err
	}
	if !installs {
		return s.checkName()
	}
	return s.check()
}

func (p Program) do(action string, s Setup, stdout io.Writer) (int, error) {
	svc, err := p.of(s)
	if err != nil {
		return exitFailure, err
	}
	if action == "status" {
		return status(svc, stdout)
	}
	switch action {
	case "install":
		err = svc.Install()
	case "uninstall":
		err = svc.Uninstall()
	case "start":
		err = svc.Start()
	case "stop":
		err = svc.Stop()
	}
	if err != nil {
		return exitFailure, err
	}
	_, _ = fmt.Fprintf(stdout, "%s: done. See: %s %s status\n", action, p.Name, Command)
	return exitOK, nil
}

func status(svc service.Service, stdout io.Writer) (int, error) {
	state, err := svc.Status()
	switch {
	case errors.Is(err, service.ErrNotInstalled):
		_, _ = fmt.Fprintln(stdout, "not installed")
		return exitNotInstalled, nil
	case err != nil:
		return exitFailure, err
	case state == service.StatusRunning:
		_, _ = fmt.Fprintln(stdout, "running")
		return exitOK, nil
	}
	_, _ = fmt.Fprintln(stdout, "stopped")
	return exitStopped, nil
}
