// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"fmt"

	"github.com/kballard/go-shellquote"

	"flamenco.farm/internal/worker/process"
)

// ExitError says how a program failed.
type ExitError struct {
	ExitCode int    // -1 if a signal ended it
	Signal   int    // 0 unless a signal ended it
	Reason   string // as process.Result has it
}

func (e *ExitError) Error() string {
	if e.Signal != 0 || e.ExitCode < 0 {
		return "command " + e.Reason
	}
	return fmt.Sprintf("command exited abnormally with code %d", e.ExitCode)
}

// Exec runs a program directly, without a shell.
type Exec struct {
	Exe  string
	Args []string
}

func decodeExec(p *parameters) Exec {
	return Exec{Exe: p.text("exe"), Args: p.list("args")}
}

// Run is done when the program ends with exit code 0.
func (c Exec) Run(ctx context.Context, env Env) error {
	return runProgram(ctx, env, c.Exe, c.Args, func(string) {})
}

// runProgram logs the command line, then every line that the program prints, which it also hands to look.
func runProgram(ctx context.Context, env Env, exe string, args []string, look func(line string)) error {
	env.Log(shellquote.Join(append([]string{exe}, args...)...))
	prefix := ""
	lines := process.NewLines(func(line string) {
		env.Log(prefix + line)
		look(line)
	})
	run := env.Process
	if run == nil {
		run = process.Run
	}
	result, err := run(ctx, process.Spec{
		Path:           exe,
		Args:           args,
		Assignment:     env.Assignment,
		Home:           env.Home,
		OOMScoreAdjust: env.OOMScoreAdjust,
		Grace:          env.Grace,
		Left:           env.Left,
		OnStart:        func(pid int) { prefix = fmt.Sprintf("pid=%d > ", pid) },
	}, lines)
	_ = lines.Close() // never fails
	if result.Warning != "" {
		env.Log(result.Warning)
	}
	if err != nil {
		return err
	}
	if result.ExitCode != 0 || result.Signal != 0 {
		return &ExitError{ExitCode: result.ExitCode, Signal: result.Signal, Reason: result.Reason}
	}
	return nil
}
