// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package render_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// limit is how long a test waits for what takes a moment on an idle computer.
const limit = 2 * time.Minute

func TestABlenderThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		blender  func(t *testing.T) string
		activity []string // what the task has to say
		log      string   // what its log has to show besides
	}{
		"missing": {
			blender:  func(*testing.T) string { return "/does/not/exist/blender" },
			activity: []string{"/does/not/exist/blender"},
		},
		"not executable": {
			blender: func(t *testing.T) string {
				path := script(t, "")
				if err := os.Chmod(path, 0o644); err != nil {
					t.Fatal(err)
				}
				return path
			},
			activity: []string{"not an executable file"},
		},
		"exits with an error": {
			blender:  func(t *testing.T) string { return script(t, "echo 'Error: Cannot read file'; exit 7") },
			activity: []string{"7"},
			log:      "Error: Cannot read file",
		},
		"crashes": {
			blender:  func(t *testing.T) string { return script(t, "echo 'Writing: /tmp/any.crash.txt'; kill -SEGV $$") },
			activity: []string{"segmentation fault"},
			log:      "any.crash.txt",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFarm(t, test.blender(t))
			job, task := f.ends(t, f.submitRender(t), limit)
			if job.Status != api.JobStatusFailed || task.Status != api.TaskStatusFailed {
				t.Errorf("the job is %s and its task %s, want failed", job.Status, task.Status)
			}
			for _, want := range test.activity {
				if !strings.Contains(strings.ToLower(task.Activity), want) {
					t.Errorf("activity %q does not say %q", task.Activity, want)
				}
			}
			var log bytes.Buffer
			if err := f.TaskLog(t.Context(), task.ID, &log); err != nil || !strings.Contains(log.String(), test.log) {
				t.Errorf("the log does not show %q (%v):\n%s", test.log, err, &log)
			}
			if !strings.Contains(log.String(), task.Activity) {
				t.Errorf("the log does not end with the reason %q:\n%s", task.Activity, &log)
			}
		})
	}
}

func TestABlenderThatHangsEndsWithAllItsChildrenWhenTheJobIsCanceled(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	// It ignores requests to end, and so does a child that has left its process group.
	f := startFarm(t, script(t, fmt.Sprintf(`trap '' TERM INT HUP
setsid sh -c 'trap "" TERM INT HUP; echo $$ >> %[1]s; while :; do sleep 1; done' &
echo $$ >> %[1]s
echo 'Fra:1 Mem:1M'
while :; do sleep 1; done
`, pids)))
	jobID := f.submitRender(t)
	f.until(t, limit, "both processes run", func(context.Context) (bool, error) { return len(lines(pids)) == 2, nil })
	if err := f.SetJobStatus(t.Context(), jobID, api.JobStatusCancelRequested, "it hangs"); err != nil {
		t.Fatal(err)
	}
	job, task := f.ends(t, jobID, limit)
	if job.Status != api.JobStatusCanceled || task.Status != api.TaskStatusCanceled {
		t.Errorf("the job is %s and its task %s, want canceled", job.Status, task.Status)
	}
	f.until(t, limit, "both processes are gone", func(context.Context) (bool, error) {
		for _, pid := range lines(pids) {
			if alive(t, pid) {
				return false, nil
			}
		}
		return true, nil
	})
	f.until(t, limit, "the Worker is ready for other work", func(ctx context.Context) (bool, error) {
		for worker, err := range f.Workers(ctx, client.List{}) {
			return worker.Status == api.WorkerStatusAwake, err
		}
		return false, nil
	})
}

// alive reports whether a process exists and is more than a dead entry that nobody has waited for yet.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Kill(number, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", number))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestABlenderThatPrints100MBNeitherStopsTheJobNorFillsTheMemory(t *testing.T) {
	t.Parallel()
	// 1.6 million lines of 64 bytes, then one line of a megabyte without an end, as a broken progress bar prints.
	f := startFarm(t, script(t, `yes 'Fra:1 Mem:10.91M (Peak 15.68M) | Time:00:00.16 | Sample 6/6 xxxx' | head -n 1600000
head -c 1000000 /dev/zero | tr '\0' '.'
echo
echo 'Saved: /nowhere/000001.png'
echo 'the very last line'
`))
	jobID := f.submitRender(t)
	job, task := f.ends(t, jobID, 4*time.Minute)
	if job.Status != api.JobStatusCompleted {
		t.Fatalf("the job is %s: %s", job.Status, task.Activity)
	}
	tail, err := f.TaskLogTail(t.Context(), task.ID)
	if err != nil || !strings.Contains(tail, "the very last line") {
		t.Errorf("the log ends with %q, %v", tail, err)
	}
	const most = 300 << 10 // kB
	if used := peakMemory(t, f.worker.Pid); used > most {
		t.Errorf("the Worker used %d kB of memory at its peak, more than %d", used, most)
	}
}

// peakMemory is the most memory that a process had at once, in kB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var used int
	if _, err := fmt.Sscan(after, &used); err != nil {
		t.Fatal(err)
	}
	return used
}
