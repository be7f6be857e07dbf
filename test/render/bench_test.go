// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package render_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

// The figures that users feel: what the farm adds to a render, and how long small tasks take. They are printed, never
// judged: run them with `make bench` on an idle machine.

// rounds is how often each figure is taken; the median is what is printed.
const rounds = 3

// benchFrames and the size are those of the demo.
const benchFrames, benchWidth, benchHeight = 24, 320, 180

func BenchmarkRenderOverOneBlenderAlone(b *testing.B) {
	f := startFarm(b, "blender")
	scene := makeScene(b, f.folder)
	for b.Loop() {
		var alone, farm, over []time.Duration
		for round := range rounds {
			out := filepath.Join(f.folder, "round-"+strconv.Itoa(round))
			direct := timed(func() { blenderAlone(b, scene, filepath.Join(out, "alone", "######")) })
			through := f.renderTask(b, scene, out)
			alone, farm, over = append(alone, direct), append(farm, through), append(over, through-direct)
		}
		b.ReportMetric(median(alone).Seconds(), "s-alone")
		b.ReportMetric(median(farm).Seconds(), "s-farm")
		b.ReportMetric(median(over).Seconds(), "s-overhead")
	}
}

func BenchmarkHundredEchoTasks(b *testing.B) {
	f := startFarm(b, "blender")
	f.runEcho(b, 1)
	for b.Loop() {
		var took []time.Duration
		for range rounds {
			took = append(took, timed(func() { f.runEcho(b, 100) }))
		}
		b.ReportMetric(median(took).Seconds(), "s-100-tasks")
	}
}

// BenchmarkSubmitToActive is the time from the POST of a job to the report of an idle Worker that its task is active.
func BenchmarkSubmitToActive(b *testing.B) {
	f := startFarm(b, "blender")
	f.runEcho(b, 1)
	for b.Loop() {
		var took []time.Duration
		for range 10 * rounds {
			idle(b)
			sent := time.Now()
			task := f.task(b, f.runEcho(b, 1))
			took = append(took, task.Attempts[0].Steps[0].Started.Sub(sent))
		}
		b.ReportMetric(float64(median(took).Microseconds())/1000, "ms-to-active")
		b.ReportMetric(float64(slices.Max(took).Microseconds())/1000, "ms-to-active-worst")
	}
}

// idle lets the Worker come to rest and the Manager make the next compiler ready.
func idle(b *testing.B) {
	b.Helper()
	rest := time.NewTimer(300 * time.Millisecond)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-b.Context().Done():
	}
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// makeScene has Blender make the demo's scene and returns the blend file.
func makeScene(b *testing.B, folder string) string {
	b.Helper()
	project := filepath.Join(folder, "project")
	if err := os.Mkdir(project, 0o755); err != nil {
		b.Fatal(err)
	}
	run(b, "blender", "-b", "--factory-startup", "--python", filepath.Join("..", "..", "tools", "demo", "make_scene.py"), "--",
		"--folder", project, "--frames", strconv.Itoa(benchFrames),
		"--width", strconv.Itoa(benchWidth), "--height", strconv.Itoa(benchHeight))
	return filepath.Join(project, "pond.blend")
}

func blenderAlone(b *testing.B, scene, output string) {
	b.Helper()
	run(b, "blender", "-b", scene, "--render-output", output, "-a")
}

func run(b *testing.B, program string, args ...string) {
	b.Helper()
	if out, err := exec.CommandContext(b.Context(), program, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", program, err, out)
	}
}

// renderTask renders the scene in one task and returns the time from the POST of the job to its completion.
func (f *farm) renderTask(b *testing.B, scene, out string) time.Duration {
	b.Helper()
	sent := time.Now()
	id := f.submit(b, "simple-blender-render", api.JobSettings{
		"blendfile": scene, "frames": "1-" + strconv.Itoa(benchFrames), "chunk_size": benchFrames, "scene": "Scene",
		"format": "PNG", "image_file_extension": ".png", "render_output_root": out, "add_path_components": 0,
		"render_output_path": filepath.Join(out, "farm", "######"),
	})
	_, task := f.ends(b, id, limit)
	if task.Status != api.TaskStatusCompleted || task.StepsCompleted != benchFrames {
		b.Fatalf("the render is %s after %d frames: %s", task.Status, task.StepsCompleted, task.Activity)
	}
	attempt := task.Attempts[len(task.Attempts)-1]
	return attempt.Ended.Sub(sent)
}

// runEcho runs a job of n echo tasks and returns its id.
func (f *farm) runEcho(b *testing.B, n int) string {
	b.Helper()
	id := f.submit(b, "many-echo", api.JobSettings{"count": n})
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	for job, err := range f.WatchJob(ctx, id) {
		if err != nil {
			b.Fatal(err)
		}
		if job.Status == api.JobStatusCompleted {
			return id
		}
	}
	panic("a watch ends with an error only")
}

func (f *farm) submit(b *testing.B, jobType string, settings api.JobSettings) string {
	b.Helper()
	job, err := f.SubmitJob(b.Context(), api.SubmittedJob{
		Name: b.Name(), Type: jobType, Priority: 50, SubmitterPlatform: "linux", Settings: settings,
	})
	if err != nil {
		b.Fatal(err)
	}
	return job.ID
}
