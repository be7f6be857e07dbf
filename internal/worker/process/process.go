// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

// Variables that every process of a command carries, by which leftovers are found.
const (
	AssignmentVariable = "FLAMENCO_ASSIGNMENT"
	HomeVariable       = "FLAMENCO_WORKER_HOME"
)

// shimVariable is set from the start of a shim until ShimMain runs. Seen by Run, it means that the binary does not call
// ShimMain, and that going on would start copies of it without end.
const shimVariable = "FLAMENCO_SHIM"

// ShimArgument is the first argument of a binary that is to call ShimMain.
const ShimArgument = "__shim"

// Spec says what to run.
type Spec struct {
	Path           string        // the executable: a path, or a name to look up in PATH
	Args           []string      // its arguments, without its name
	Dir            string        // working directory; "" = that of this process
	Env            []string      // environment, NAME=value; nil = that of this process. The markers are added
	Assignment     string        // what the command works for; marks all of its processes
	Home           string        // folder of this Worker, for EndLeftovers; "" = no marker
	OOMScoreAdjust *int          // Linux: how readily the kernel ends the command when memory is short, 0 to 1000; nil = untouched
	Grace          time.Duration // between TERM and KILL; 0 = KILL at once
	OnStart        func(pid int) // called once, before any output is written; may be nil
	// Left is for how long the command may go on, asked again and again. When that is over it is killed, even if this process
	// stands still and can neither ask nor kill; Run returns ErrOver then. nil = without limit.
	Left func() time.Duration
}

// ErrOver is what Run returns of a command that was ended because its time was over.
var ErrOver = errors.New("the time of the command is over")

// Result says how a command that was started ended.
type Result struct {
	Pid      int
	ExitCode int    // -1 if a signal ended it
	Signal   int    // 0 unless a signal ended it
	Reason   string // for people; "" = exit code 0
	Warning  string // what could not be done as asked although the command ran; usually ""
}

// Run runs the command of spec and writes its output, stdout and stderr merged, to output as it comes.
//
// It returns when every process of the command is gone: those that the command left behind when it ended are killed.
// If ctx is done, all get TERM, and KILL after spec.Grace; the error is then the cause of ctx. Other errors mean that
// the command could not be started (a *farm.Error) or watched, or that output refused to be written to. A command that
// fails is no error: see Result.
func Run(ctx context.Context, spec Spec, output io.Writer) (Result, error) {
	if err := ctx.Err(); err != nil {
		return Result{}, context.Cause(ctx)
	}
	if os.Getenv(shimVariable) != "" {
		return Result{}, fmt.Errorf("process: this program was started as a shim but does not call process.ShimMain")
	}
	path, err := find(spec)
	if err != nil {
		return Result{}, err
	}
	s, err := startShim(spec)
	if err != nil {
		return Result{}, fmt.Errorf("start the shim for %s: %w", spec.Path, err)
	}
	return s.run(ctx, order{
		Left:           s.left(),
		Path:           path,
		Args:           spec.Args,
		Dir:            spec.Dir,
		Assignment:     spec.Assignment,
		Home:           spec.Home,
		OOMScoreAdjust: spec.OOMScoreAdjust,
		Grace:          spec.Grace,
	}, output)
}

// find looks up the executable, so that the usual mistakes are named before anything is started.
func find(spec Spec) (string, error) {
	if spec.Path == "" {
		return "", farm.Errorf(farm.CodeInvalid, "no executable given")
	}
	if spec.Dir != "" {
		if info, err := os.Stat(spec.Dir); err != nil || !info.IsDir() {
			return "", farm.Errorf(farm.CodeNotFound, "cannot start %q: the working directory %q does not exist", spec.Path, spec.Dir)
		}
	}
	if filepath.Base(spec.Path) != spec.Path {
		return spec.Path, nil
	}
	path, err := exec.LookPath(spec.Path)
	if err != nil {
		return "", farm.Errorf(farm.CodeNotFound, "executable %q not found in PATH", spec.Path)
	}
	return path, nil
}

// environment is what the shim, and through it the command, gets.
func environment(spec Spec) []string {
	env := spec.Env
	if env == nil {
		env = os.Environ()
	}
	marked := make([]string, 0, len(env)+3)
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case AssignmentVariable, HomeVariable, shimVariable:
		default:
			marked = append(marked, entry)
		}
	}
	marked = append(marked, AssignmentVariable+"="+spec.Assignment, shimVariable+"=1")
	if spec.Home != "" {
		marked = append(marked, homeMarker(spec.Home))
	}
	return marked
}

func homeMarker(home string) string {
	if abs, err := filepath.Abs(home); err == nil {
		home = abs
	}
	return HomeVariable + "=" + home
}
