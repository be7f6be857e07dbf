// SPDX-License-Identifier: GPL-3.0-or-later

// Package command owns what a task may consist of: one type and one decoder per command name, and what each of them
// does on this machine. Job compilers write commands as a name with parameters; Decode turns that into a value whose
// fields are known to be right, so that a task with a mistake fails before any part of it has run.
//
// It must not know the Manager, the task or how output travels: Env takes what a command has to say. Programs are run by
// package process, which ends all of their processes when the context is done.
package command

import (
	"context"
	"io"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/process"
)

// Raw is a command as it comes from the Manager, with its variables expanded.
type Raw struct {
	Name           string         `json:"name"`
	Parameters     map[string]any `json:"parameters"`
	TotalStepCount int            `json:"total_step_count"` // 0 = it counts as one step when it is done
}

// Command is something that a task does.
type Command interface {
	// Run does it. The error of a program that failed is an *ExitError; that of a command which was stopped is the
	// cause of ctx.
	Run(ctx context.Context, env Env) error
}

// Env is where a command runs, and whom it tells what happens. The functions are called from one goroutine at a time.
type Env struct {
	Log            func(line string) // a line for the task's log
	Step           func(n int)       // n more steps of the task are done; may be nil
	Output         func(path string) // a program has written this image; may be nil
	Assignment     string            // marks the processes of the command
	Home           string            // folder of the Worker; marks them too
	OOMScoreAdjust *int              // for the processes; nil = untouched
	Grace          time.Duration     // between asking a process to end and killing it
	// Left is for how long processes may go on, asked again and again; nil = without limit. The error of a command whose
	// process was ended by that is process.ErrOver.
	Left        func() time.Duration
	ToolsFolder string        // where the FFmpeg that came with the Worker is looked for; "" = beside its executable
	Process     ProcessRunner // nil = process.Run
}

// ProcessRunner runs a program: process.Run, or what a test puts in its place.
type ProcessRunner func(ctx context.Context, spec process.Spec, output io.Writer) (process.Result, error)

// The names of the commands.
const (
	NameBlenderRender = "blender-render"
	NameExec          = "exec"
	NameFramesToVideo = "frames-to-video"
	NameMoveDirectory = "move-directory"
	NameCopyFile      = "copy-file"
	NameMakeDirectory = "make-directory"
	NameEcho          = "echo"
	NameSleep         = "sleep"
)

// Decode checks a command's parameters. Its errors are *farm.Error and name the command and the parameter.
func Decode(raw Raw) (Command, error) {
	c, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return stepped{command: c, total: raw.TotalStepCount}, nil
}

func decode(raw Raw) (Command, error) {
	p := &parameters{command: raw.Name, values: raw.Parameters}
	var c Command
	switch raw.Name {
	case NameBlenderRender:
		c = decodeBlenderRender(p)
	case NameExec:
		c = decodeExec(p)
	case NameFramesToVideo:
		c = decodeFramesToVideo(p)
	case NameMoveDirectory:
		c = decodeMoveDirectory(p)
	case NameCopyFile:
		c = decodeCopyFile(p)
	case NameMakeDirectory:
		c = decodeMakeDirectory(p)
	case NameEcho:
		c = decodeEcho(p)
	case NameSleep:
		c = decodeSleep(p)
	default:
		return nil, farm.Errorf(farm.CodeInvalid, "unknown command %q", raw.Name)
	}
	return c, p.err
}

// stepped keeps the count of a command's steps to what its job compiler announced, because the Manager's total is made
// of that: none of its own when it announced none, but one when it is done; otherwise never more.
type stepped struct {
	command Command
	total   int
}

func (s stepped) Run(ctx context.Context, env Env) error {
	step := env.Step
	if step == nil {
		step = func(int) {}
	}
	left := max(0, s.total)
	env.Step = func(n int) {
		if n = min(n, left); n > 0 {
			left -= n
			step(n)
		}
	}
	if env.Output == nil {
		env.Output = func(string) {}
	}
	if err := s.command.Run(ctx, env); err != nil {
		return err
	}
	if s.total <= 0 {
		step(1)
	}
	return nil
}
