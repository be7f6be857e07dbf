// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package render_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/loopback"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// bin is where TestMain puts the programs.
var bin string

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	folder, err := os.MkdirTemp("", "flamenco-render-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	bin = folder
	build := exec.Command("go", "build", "-o", folder+"/", "./cmd/...", "./tools/demo")
	build.Dir = filepath.Join("..", "..")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n", err)
		return 1
	}
	if err := os.Mkdir(filepath.Join(folder, "scripts"), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.WriteFile(filepath.Join(folder, "scripts", "many_echo.js"), []byte(manyEcho), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// manyEcho is a job type of the farm's own, beside the Manager like a user's: as many tasks as asked for, each an echo.
const manyEcho = `
const JOB_TYPE = { label: "Many echoes", settings: [{ key: "count", type: "int32", default: 1 }] };
function compileJob(job) {
  for (let i = 0; i < job.settings.count; i++) {
    const task = author.Task("echo-" + i, "misc");
    task.addCommand(author.Command("echo", { message: "echo " + i }));
    job.addTask(task);
  }
}
`

// farm is a Manager and one Worker, in a folder of their own.
type farm struct {
	*client.Client
	folder  string
	address string
	worker  *os.Process
}

// startFarm starts both, with the program to take for Blender. They end with the test.
func startFarm(t testing.TB, blender string) *farm {
	t.Helper()
	f := &farm{folder: t.TempDir()}
	address := loopback.FreeAddress(t)
	f.address = address
	f.start(t, "flamenco-manager", fmt.Sprintf(`_meta: {version: 3}
listen: %q
local_manager_storage_path: %q
shared_storage_path: %q
autodiscoverable: false
shaman: {enabled: false}
variables:
  blender: {values: [{platform: all, value: %q}]}
  blenderArgs: {values: [{platform: all, value: "-b -y"}]}
`, address, filepath.Join(f.folder, "storage"), f.folder, blender))
	c, err := client.New(address)
	if err != nil {
		t.Fatal(err)
	}
	f.Client = c
	f.until(t, 30*time.Second, "the Manager answers", func(ctx context.Context) (bool, error) {
		_, err := c.Version(ctx)
		return err == nil, nil
	})
	f.worker = f.start(t, "flamenco-worker", fmt.Sprintf("manager_url: %q\n", "http://"+address))
	return f
}

// start runs a program with its configuration. Its log is shown if the test fails.
func (f *farm) start(t testing.TB, name, config string) *os.Process {
	t.Helper()
	home := filepath.Join(f.folder, name)
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, name+".yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, name))
	cmd.Dir = home
	cmd.Env = append(os.Environ(), "FLAMENCO_HOME="+home)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // if it has ended already, Wait tells
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
			t.Errorf("%s did not end within 20 s of SIGTERM", name)
		}
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, &log)
		}
	})
	return cmd.Process
}

// until asks again and again whether something is so, at most as long as the limit.
func (f *farm) until(t testing.TB, limit time.Duration, what string, so func(context.Context) (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	clock := time.NewTicker(50 * time.Millisecond)
	defer clock.Stop()
	for {
		ok, err := so(ctx)
		if ok {
			return
		}
		if err != nil {
			t.Fatalf("waiting until %s: %v", what, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v in vain until %s", limit, what)
		case <-clock.C:
		}
	}
}

// submitRender submits a render of three frames in one task, for a Blender that need not look at the blend file, and
// returns the id of the job. There is no fps, and so no video.
func (f *farm) submitRender(t testing.TB) string {
	t.Helper()
	jobType, err := f.JobType(t.Context(), "simple-blender-render")
	if err != nil {
		t.Fatal(err)
	}
	job, err := f.SubmitJob(t.Context(), api.SubmittedJob{
		Name: "misbehaving", Type: jobType.Name, TypeEtag: &jobType.Etag, Priority: 50, SubmitterPlatform: "linux",
		Settings: api.JobSettings{
			"blendfile": filepath.Join(f.folder, "any.blend"), "frames": "1-3", "chunk_size": 3, "scene": "Scene", "format": "PNG",
			"image_file_extension": ".png", "render_output_root": f.folder, "add_path_components": 0,
			"render_output_path": filepath.Join(f.folder, "renders", "######"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return job.ID
}

// ends waits for the end of the job and returns it, with its only task.
func (f *farm) ends(t testing.TB, jobID string, limit time.Duration) (api.Job, api.Task) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for job, err := range f.WatchJob(ctx, jobID) {
		if err != nil {
			t.Fatalf("waiting for the job to end: %v; its task is %+v", err, f.task(t, jobID))
		}
		switch job.Status {
		case api.JobStatusCompleted, api.JobStatusFailed, api.JobStatusCanceled:
			return job, f.task(t, jobID)
		}
	}
	panic("a watch ends with an error only")
}

func (f *farm) task(t testing.TB, jobID string) api.Task {
	t.Helper()
	tasks, err := client.Collect(f.Tasks(t.Context(), jobID, client.List{}))
	if err != nil || len(tasks) != 1 {
		t.Fatalf("tasks %v, %v; want one", tasks, err)
	}
	task, err := f.Task(t.Context(), tasks[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

// script writes a program for Blender's place.
func script(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blender")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines reads a small file, without the blank at its end; nothing if it does not exist.
func lines(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}
