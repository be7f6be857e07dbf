// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/pkg/api"
)

// renderType has the settings of the built-in job type that matter here, with their expressions.
func renderType() api.AvailableJobType {
	hidden, path := api.AvailableJobSettingVisibility("hidden"), api.AvailableJobSettingSubtype("dir_path")
	return api.AvailableJobType{
		Name: "simple-blender-render", Label: "Render", Etag: "r1",
		Settings: []api.AvailableJobSetting{
			{Key: "frames", Type: "string", Required: ref(true), Eval: ref("f'{C.scene.frame_start}-{C.scene.frame_end}'")},
			{Key: "chunk_size", Type: "int32", Default: float64(1)},
			{Key: "render_output_root", Type: "string", Subtype: &path, Required: ref(true)},
			{Key: "add_path_components", Type: "int32", Required: ref(true), Default: float64(0)},
			{Key: "render_output_path", Type: "string", Eval: ref("str(Path(abspath(settings.render_output_root), last_n_dir_parts(settings.add_path_components), jobname, '{timestamp}', '######'))")},
			{Key: "blendfile", Type: "string", Required: ref(true)},
			{Key: "fps", Type: "float", Eval: ref("C.scene.render.fps / C.scene.render.fps_base"), Visible: &hidden},
			{Key: "format", Type: "string", Required: ref(true), Choices: []string{"PNG", "OPEN_EXR"}},
			{Key: "image_file_extension", Type: "string", Required: ref(true), Eval: ref("C.scene.render.file_extension"), Visible: &hidden},
		},
	}
}

func TestSettingsGetTheTypesThatTheJobTypeWants(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	run := m.start(t)
	run("submit", "echo-sleep-test", "message=hi=there", "sleep_repeats=3", "sleep_duration_seconds=0.5", "loud=yes", "--name", "hello",
		"--priority", "70", "--metadata", "a=b", "--metadata", "c=d=e", "--tag", "gpu", "--paused").want(t, ExitOK, "Submitted hello as job 00000001-", "")
	paused := api.JobStatusPaused
	want := api.SubmittedJob{
		Name: "hello", Type: "echo-sleep-test", TypeEtag: ref("e1"), Priority: 70, SubmitterPlatform: runtime.GOOS,
		InitialStatus: &paused, WorkerTag: ref("7a600000-0000-4000-8000-000000000000"), Metadata: api.JobMetadata{"a": "b", "c": "d=e"},
		Settings: api.JobSettings{"message": "hi=there", "sleep_repeats": 3.0, "sleep_duration_seconds": 0.5, "loud": true},
	}
	if diff := cmp.Diff(want, m.submitted[0]); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsAndKnownExpressionsAreFilledIn(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	run := m.start(t)
	run("submit", "simple-blender-render", "blendfile=/farm/show/shot/pond.blend", "frames=1-24", "format=PNG", "render_output_root=/out",
		"add_path_components=2").want(t, ExitOK, "Submitted pond", "")
	want := api.JobSettings{
		"blendfile": "/farm/show/shot/pond.blend", "frames": "1-24", "format": "PNG", "chunk_size": 1.0, "add_path_components": 2.0,
		"render_output_root": "/out", "image_file_extension": ".png", "render_output_path": "/out/show/shot/pond/{timestamp}/######",
	}
	if diff := cmp.Diff(want, m.submitted[0].Settings); diff != "" {
		t.Error(diff)
	}
}

func TestTheOutputPathFollowsTheSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		root, blendFile string
		parts           any
		name, want      string
	}{
		{"/out", "/farm/a/b/c.blend", 0, "job", "/out/job/{timestamp}/######"},
		{"/out/", "/farm/a/b/c.blend", float64(1), "job", "/out/b/job/{timestamp}/######"},
		{"/out", "/farm/a/b/c.blend", 32, "job", "/out/farm/a/b/job/{timestamp}/######"},
		{"//render", "/farm/a/b/c.blend", nil, "job", "/farm/a/b/render/job/{timestamp}/######"},
		{"{renders}/x", "{jobs}/c.blend", 0, "a/b\\c", "{renders}/x/a-b-c/{timestamp}/######"},
		{"", "/farm/c.blend", 0, "job", ""},
	} {
		settings := map[string]any{"render_output_root": test.root, "blendfile": test.blendFile, "add_path_components": test.parts}
		if got, _ := outputPath(settings, test.name); got != test.want {
			t.Errorf("%+v: got %s", test, got)
		}
	}
}

func TestRelativePathsAreRelativeToWhereTheyAreWritten(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	run := m.start(t)
	file := filepath.Join(t.TempDir(), "render.yaml")
	text := "blendfile: shot.blend\nframes: 12\nformat: PNG\nrender_output_root: \"{renders}\"\nchunk_size: 5\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run("submit", "simple-blender-render", "-f", file, "chunk_size=7").want(t, ExitOK, "Submitted shot", "")
	run("submit", "simple-blender-render", "-f", file, "blendfile=here.blend").want(t, ExitOK, "Submitted here", "")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{filepath.Join(filepath.Dir(file), "shot.blend"), filepath.Join(here, "here.blend")} {
		if got := m.submitted[i].Settings["blendfile"]; got != want {
			t.Errorf("blendfile is %v, want %s", got, want)
		}
	}
	settings := m.submitted[0].Settings
	if settings["frames"] != "12" || settings["chunk_size"] != 7.0 || settings["render_output_root"] != "{renders}" {
		t.Errorf("settings %v", settings)
	}
}

func TestWrongSettingsAreNamedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	run := m.start(t)
	echo := func(args ...string) *terminal { return run(append([]string{"submit", "echo-sleep-test"}, args...)...) }
	echo("message=x", "sleep_repeats=many").want(t, ExitUsage, "", `setting "sleep_repeats": is "many", must be a whole number`)
	echo("message=x", "sleep_repeats=3000000000").want(t, ExitUsage, "", `setting "sleep_repeats": is 3000000000, which is out of range`)
	echo("message=x", "sleep_duration_seconds=NaN").want(t, ExitUsage, "", `setting "sleep_duration_seconds"`)
	echo("message=x", "loud=perhaps").want(t, ExitUsage, "", `setting "loud"`)
	echo("message=x", "volume=11").want(t, ExitUsage, "", `no setting "volume"; it has message, sleep_repeats`)
	echo("sleep_repeats=1").want(t, ExitUsage, "", "message=…  What to say (string)")
	echo("message").want(t, ExitUsage, "", "write key=value")
	echo("message=a", "message=b").want(t, ExitUsage, "", "given twice")
	echo("message=a", "--metadata", "x").want(t, ExitUsage, "", "KEY=VALUE")
	echo("message=a", "--priority", "101").want(t, ExitUsage, "", "from 0 to 100")
	echo("message=a", "--tag", "cpu").want(t, ExitNotFound, "", `no worker tag "cpu"; there is gpu`)
	echo("-f", "/does/not/exist.yaml").want(t, ExitFailure, "", "/does/not/exist.yaml")
	run("submit", "simple-blender-render", "frames=1", "blendfile=x", "render_output_root=y", "format=GIF").want(t, ExitUsage, "", `setting "format": is "GIF", must be one of PNG, OPEN_EXR`)
	if len(m.submitted) > 0 {
		t.Errorf("submitted %v", m.submitted)
	}
}

func TestAJobTypeThatChangedInBetweenIsReadAgain(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	m.refuse = []int{412}
	run := m.start(t)
	run("submit", "echo-sleep-test", "message=a").want(t, ExitOK, "Submitted", "")
	m.refuse = []int{412, 412}
	run("submit", "echo-sleep-test", "message=a").want(t, ExitFailure, "", "refused with 412")
}

// advance makes each look at a job move it on by one status.
func advance(statuses ...api.JobStatus) func(*fakeManager, *api.Job) {
	looks := 0
	return func(m *fakeManager, job *api.Job) {
		job.Status = statuses[min(looks, len(statuses)-1)]
		job.StepsTotal, job.StepsCompleted = len(statuses), looks
		looks++
	}
}

func TestWaitingEndsWithTheJob(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		end  api.JobStatus
		code int
		out  string
		err  string
	}{
		{api.JobStatusCompleted, ExitOK, "Completed older", ""},
		{api.JobStatusFailed, ExitJobFailed, "", "failed: too many"},
		{api.JobStatusCanceled, ExitJobFailed, "", "was canceled"},
	} {
		t.Run(string(test.end), func(t *testing.T) {
			t.Parallel()
			m := smallFarm()
			m.jobs[0].Activity = "too many"
			m.tasks = append(m.tasks, api.Task{ID: "bbbb1111-0000-4000-8000-00000000000a", JobID: jobA, IndexInJob: 1, Name: "say", Status: api.TaskStatusFailed, Activity: "it broke"})
			m.onJob = advance(api.JobStatusQueued, test.end)
			run := m.start(t)("wait", "3f2a1")
			run.want(t, test.code, test.out, test.err)
			if test.code != ExitOK {
				run.want(t, test.code, "", "Failed say: it broke\n  Log: flamenco tasks log 3f2a1111/1")
			}
		})
	}
}

func TestSubmittingWithWaitTellsProgressAsJSON(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	m.onJob = advance(api.JobStatusActive, api.JobStatusCompleted)
	got := m.start(t)("submit", "echo-sleep-test", "message=a", "--wait", "--json")
	got.want(t, ExitOK, `"type":"progress"`, "")
	lines := strings.Split(strings.TrimSpace(got.out.String()), "\n")
	if !strings.Contains(lines[0], `"type":"job"`) || !strings.Contains(lines[len(lines)-1], `"status":"completed"`) {
		t.Errorf("lines: %s", &got.out)
	}
}

func TestInterruptingAWaitLeavesTheJobAlone(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	ctx, cancel := context.WithCancel(t.Context())
	m.onJob = func(*fakeManager, *api.Job) { cancel() }
	got := m.startWith(t)(ctx, "wait", jobA)
	got.want(t, ExitInterrupted, "", "The job goes on. To wait for it again: flamenco wait 3f2a1111")
}

func TestTheEstimateFollowsThePace(t *testing.T) {
	t.Parallel()
	var e estimate
	start := time.Now()
	at := func(seconds, done int, status api.JobStatus) (time.Duration, bool) {
		return e.left(start.Add(time.Duration(seconds)*time.Second), counts{status: status, stepsDone: done, stepsTotal: 20})
	}
	if _, known := at(0, 5, api.JobStatusQueued); known {
		t.Error("a job that waits has no pace")
	}
	if _, known := at(100, 5, api.JobStatusActive); known {
		t.Error("nothing is known before the first step")
	}
	if left, known := at(110, 10, api.JobStatusActive); !known || left != 20*time.Second {
		t.Errorf("5 steps in 10 s and 10 to go: got %v, %v", left, known)
	}
	if _, known := at(120, 0, api.JobStatusActive); known {
		t.Error("a job that was requeued begins anew")
	}
}

func TestFramesAreCountedApartFromOtherSteps(t *testing.T) {
	t.Parallel()
	tasks := []api.TaskSummary{
		{TaskType: "blender", StepsTotal: 12, StepsCompleted: 12, Status: api.TaskStatusCompleted},
		{TaskType: "blender", StepsTotal: 12, StepsCompleted: 3, Status: api.TaskStatusActive},
		{TaskType: "ffmpeg", StepsTotal: 1, Status: api.TaskStatusQueued},
	}
	n := countJob(api.Job{Status: api.JobStatusActive, StepsCompleted: 15, StepsTotal: 25}, tasks)
	if got, want := n.String(), "15/24 frames · 1/3 tasks"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := countJob(api.Job{Status: api.JobStatusQueued}, nil).String(); got != "queued" {
		t.Errorf("got %q", got)
	}
}

func TestAWaitForAFarmWithoutWorkersSaysSo(t *testing.T) {
	t.Parallel()
	m := smallFarm()
	m.workers = nil
	started := time.Now()
	m.onJob = func(_ *fakeManager, job *api.Job) {
		job.Status = api.JobStatusQueued
		if time.Since(started) > 2*lookInterval {
			job.Status = api.JobStatusCompleted
		}
	}
	m.start(t)("wait", jobA).want(t, ExitOK, "Completed", "queued · the farm has no workers")
	if got := shortage([]api.WorkerSummary{{Status: api.WorkerStatusAsleep}}); got != "no worker is awake" {
		t.Errorf("got %q", got)
	}
}
