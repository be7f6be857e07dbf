// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/pkg/api"
)

const renderScript = `
const JOB_TYPE = { label: "Render", settings: [
  { key: "script", type: "string", required: true },
  { key: "folder", type: "string", required: true },
] };
function compileJob(job) {
  for (const name of ["a", "b"]) {
    const task = author.Task(name, "blender");
    task.addCommand(author.Command("exec", { exe: "blender",
      args: ["-b", "--factory-startup", "--python-exit-code", "1", "-P", job.settings.script, "--", job.settings.folder, name] }));
    job.addTask(task);
  }
}
`

// slowRender renders the default scene a few times, slowly, and notes the process and the time of each frame.
const slowRender = `
import os, sys, time, bpy
folder, name = sys.argv[-2:]
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.render.resolution_x = scene.render.resolution_y = 32
scene.render.resolution_percentage = 100
for frame in range(1, 13):
    scene.frame_set(frame)
    scene.render.filepath = os.path.join(folder, "%s-%02d.png" % (name, frame))
    bpy.ops.render.render(write_still=True)
    with open(os.path.join(folder, name + ".txt"), "a") as f:
        f.write("%d %d\n" % (os.getpid(), frame))
    time.sleep(1)
`

func TestTheManagerIsDownForTwiceTheTimeoutAndTheSameBlendersFinish(t *testing.T) {
	t.Parallel()
	const timeout = 4 * time.Second
	f := newFarm(t, renderScript, func(c *config.Config) {
		c.WorkerTimeout = timeout
		c.TimeoutGrace = 2 * timeout // as the default of five minutes is to one
	})
	folder := t.TempDir()
	script := filepath.Join(folder, "slow.py")
	writeFile(t, script, slowRender)
	for n := range 2 {
		f.worker(fmt.Sprint("worker-", n+1), f.config.Listen, slog.DiscardHandler)
	}
	job := f.submit(api.JobSettings{"script": script, "folder": folder})
	var down sync.Once
	watch(t, f.Client, job, patience, func(j api.Job) {
		if j.TaskCounts == nil || j.TaskCounts.Active != 2 {
			return
		}
		down.Do(func() {
			waitForFile(t, filepath.Join(folder, "a.txt"))
			waitForFile(t, filepath.Join(folder, "b.txt"))
			f.stop()
			<-time.After(2 * timeout) // the point of the test
			f.start()
		})
	})
	f.stop()
	for _, task := range load(t, f.config.Database, job) {
		if len(task.Attempts) != 1 {
			t.Errorf("task %s has %d attempts, want one", task.Name, len(task.Attempts))
		}
		var want strings.Builder
		text := readFile(t, filepath.Join(folder, task.Name+".txt"))
		pid, _, _ := strings.Cut(text, " ")
		for frame := 1; frame <= 12; frame++ {
			fmt.Fprintf(&want, "%s %d\n", pid, frame)
		}
		if text != want.String() {
			t.Errorf("process and frame of task %s:\n%s", task.Name, text)
		}
		if _, err := os.Stat(filepath.Join(folder, task.Name+"-12.png")); err != nil {
			t.Error(err)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// waitForFile waits until somebody else has made a file.
func waitForFile(t *testing.T, path string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
	t.Fatalf("%s does not appear", path)
}
