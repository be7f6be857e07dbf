// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/term"

	"flamenco.farm/pkg/client"
)

const (
	startLimit = 30 * time.Second // for the Manager to answer, and for the Workers to sign on
	sceneLimit = 2 * time.Minute  // for Blender to make the scene; its first start reads a lot from disk
	jobName    = "pond"
)

// run does everything. Whatever it started has ended when it returns, also after an error or Ctrl-C.
func run(ctx context.Context, o options) error {
	blender, err := findPrograms()
	if err != nil {
		return err
	}
	farm, err := newFarm(o)
	if err != nil {
		return err
	}
	err = farm.show(ctx, blender)
	farm.stop()
	if ctx.Err() != nil && err != nil {
		err = errInterrupted
	}
	farm.tidy(err)
	return err
}

// show makes the farm and renders with it.
func (f *farm) show(ctx context.Context, blender string) error {
	fmt.Printf("\nA render farm in %s\n\n", f.folder)

	if err := step("Scene", func() (string, error) {
		return f.makeScene(ctx, blender)
	}); err != nil {
		return err
	}
	if err := step("Manager", func() (string, error) {
		return f.startManager(ctx, blender)
	}); err != nil {
		return err
	}
	if err := step("Workers", func() (string, error) {
		return f.startWorkers(ctx)
	}); err != nil {
		return err
	}
	fmt.Println()
	found, err := f.render(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("\n  Frames   %s\n  Video    %s\n  Web app  %s/app/\n\n", found.folder, found.video, f.url)
	if f.exit {
		return nil
	}
	fmt.Println("The farm stays up. Press Ctrl-C to end it; the frames stay.")
	return f.stayUp(ctx)
}

// step says what is being done while it is, as far as there is a terminal to say it on, and then how it went.
func step(name string, do func() (string, error)) error {
	again := ""
	if term.IsTerminal(int(os.Stdout.Fd())) {
		fmt.Printf("  %-8s …", name)
		again = "\r"
	}
	result, err := do()
	if err != nil {
		result = "failed"
	}
	fmt.Printf("%s  %-8s %s\n", again, name, result)
	return err
}

// findPrograms returns the path of Blender, and makes sure of FFmpeg, which the Workers find by themselves.
func findPrograms() (blender string, err error) {
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", fmt.Errorf("%w; `make demo` installs FFmpeg where it can", err)
		}
	}
	if blender, err = exec.LookPath("blender"); err != nil {
		return "", fmt.Errorf("%w; `make demo` installs Blender where it can", err)
	}
	return filepath.Abs(blender)
}

// render submits the job by the command line, as its users do, and looks at what came of it.
func (f *farm) render(ctx context.Context) (result, error) {
	ctx, cancel := f.whileRunning(ctx)
	defer cancel()
	submit := exec.CommandContext(ctx, filepath.Join(f.bin, "flamenco"),
		"submit", "simple-blender-render", "--manager", f.url, "--name", jobName, "--wait",
		"blendfile="+filepath.Join(f.project, "pond.blend"),
		"frames=1-"+strconv.Itoa(f.frames), "chunk_size="+strconv.Itoa(f.chunk),
		"render_output_root="+f.renders, "scene=Scene", "format=PNG", "fps=24",
	)
	submit.Stdout, submit.Stderr = os.Stdout, os.Stderr
	// On Ctrl-C it would say that the job goes on, which in this farm it does not.
	detach(submit)
	err := submit.Run()
	if failed := context.Cause(ctx); failed != nil {
		return result{}, failed
	}
	if err != nil {
		return result{}, fmt.Errorf("the render did not succeed (%w); the logs are in %s", err, f.logs)
	}
	return f.check(ctx)
}

// stayUp lasts until Ctrl-C, which is the good end, or until a program of the farm ends, which is not.
func (f *farm) stayUp(ctx context.Context) error {
	running, cancel := f.whileRunning(ctx)
	defer cancel()
	<-running.Done()
	if ctx.Err() != nil {
		fmt.Println("\nEnding the farm.")
		return nil
	}
	return context.Cause(running)
}

// connect makes a client for the Manager of the farm.
func (f *farm) connect() (*client.Client, error) {
	return client.New(f.url, client.WithUserAgent("Flamenco demo"))
}
