// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/oldfarm"
)

var discard = slog.New(slog.DiscardHandler)

// newFarm is the farm that gets everything.
type newFarm struct {
	t         *testing.T
	path      string
	store     *store.Store
	storage   *os.Root
	schedules []flamenco3.SleepSchedule
	rendered  []string
}

func setup(t *testing.T) (*oldfarm.Farm, *newFarm) {
	t.Helper()
	f := &newFarm{t: t, path: filepath.Join(t.TempDir(), "farm.sqlite")}
	f.open(f.path)
	var err error
	if f.storage, err = os.OpenRoot(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.store.Close(), f.storage.Close()); err != nil {
			t.Error(err)
		}
		storetest.CheckInvariants(t, f.path)
	})
	return oldfarm.New(t), f
}

func (f *newFarm) open(path string) {
	f.t.Helper()
	var err error
	f.store, err = store.Open(context.Background(), store.Options{Database: path, Durability: store.DurabilityNormal, Log: discard})
	if err != nil {
		f.t.Fatal(err)
	}
}

func logName(jobID, taskID string) string {
	return "job-" + jobID[:4] + "/" + jobID + "/task-" + taskID + ".txt"
}

func (f *newFarm) target() flamenco3.Target {
	f.schedules, f.rendered = nil, nil
	return flamenco3.Target{
		Store: f.store, Storage: f.storage, LogName: logName,
		Schedule: func(_ *store.Tx, s flamenco3.SleepSchedule) error {
			f.schedules = append(f.schedules, s)
			return nil
		},
		Rendered: func(_ *store.Tx, jobID string) error {
			f.rendered = append(f.rendered, jobID)
			return nil
		},
	}
}

func sourceOf(old *oldfarm.Farm) flamenco3.Source {
	return flamenco3.Source{Database: old.Database, Storage: old.Storage}
}

func (f *newFarm) imports(old *oldfarm.Farm, opts flamenco3.Options) flamenco3.Report {
	f.t.Helper()
	report, err := flamenco3.Import(f.t.Context(), sourceOf(old), f.target(), opts)
	if err != nil {
		f.t.Fatalf("%v\n%+v", err, report)
	}
	return report
}

func (f *newFarm) job(id string) farm.Job {
	f.t.Helper()
	j, err := f.store.Job(f.t.Context(), id)
	if err != nil {
		f.t.Fatal(err)
	}
	return j
}

func (f *newFarm) tasks(jobID string) []farm.Task {
	f.t.Helper()
	tasks, _, err := f.store.Tasks(f.t.Context(), store.TaskList{JobID: jobID})
	if err != nil {
		f.t.Fatal(err)
	}
	return tasks
}

func (f *newFarm) statuses(jobID string) (statuses []farm.TaskStatus) {
	f.t.Helper()
	for _, t := range f.tasks(jobID) {
		statuses = append(statuses, t.Status)
	}
	return statuses
}

func (f *newFarm) file(name string) string {
	f.t.Helper()
	text, err := f.storage.ReadFile(name)
	if err != nil {
		f.t.Error(err)
	}
	return string(text)
}

// problems are the lines of a report about things of one kind.
func problems(r flamenco3.Report, about string) (texts []string) {
	for _, p := range r.Problems {
		if strings.Contains(p.What, about) {
			texts = append(texts, p.Text)
		}
	}
	return texts
}

func TestAFarmIsBroughtOverAsItIs(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	gpu, gpuID := old.Tag("gpu")
	w, workerID := old.Worker("alpha", "secret", "awake")
	gone, goneID := old.Worker("gone", "secret", "offline")
	old.Exec("UPDATE workers SET deleted_at = ? WHERE id = ?", oldfarm.At(time.Hour), gone)
	old.Exec("UPDATE workers SET status_requested = 'asleep', lazy_status_request = 1 WHERE id = ?", w)
	old.Exec("INSERT INTO worker_tag_membership VALUES (?, ?)", gpu, w)
	old.Exec("INSERT INTO sleep_schedules (created_at, worker_id, is_active, days_of_week, start_time, end_time) VALUES (?, ?, 1, 'mo tu', '09:00', '18:30')", oldfarm.At(0), w)
	job, jobID := old.Job("render", "active")
	old.Exec("UPDATE jobs SET worker_tag_id = ?, delete_requested_at = NULL WHERE id = ?", gpu, job)
	done, doneID := old.Task(job, 1, "blender", "completed")
	soft, softID := old.Task(job, 2, "blender", "soft-failed")
	video, _ := old.Task(job, 3, "ffmpeg", "queued")
	active, activeID := old.Task(job, 4, "blender", "active")
	old.Depends(video, done)
	old.Depends(video, soft)
	old.Depends(soft, done)
	old.Exec("UPDATE tasks SET worker_id = ? WHERE id IN (?, ?)", w, done, active)
	old.Exec("INSERT INTO task_failures VALUES (?, ?, ?), (?, ?, ?)", oldfarm.At(0), soft, w, oldfarm.At(1), soft, gone)
	old.Exec("INSERT INTO job_blocks (created_at, job_id, worker_id, task_type) VALUES (?, ?, ?, 'ffmpeg')", oldfarm.At(0), job, w)
	old.Exec("INSERT INTO last_rendereds VALUES (1, ?, ?, ?)", oldfarm.At(0), oldfarm.At(0), job)
	old.File(jobID, "task-"+doneID+".txt", "a line\n")
	old.File(jobID, "last-rendered.jpg", "large")
	old.File(jobID, "last-rendered-tiny.jpg", "small")
	old.File(jobID, "something-else", "stays")
	other, otherID := old.Job("later", "completed")
	old.Task(other, 1, "misc", "completed")
	old.File(otherID, "last-rendered.jpg", "of the later job")

	r := f.imports(old, flamenco3.Options{})
	if len(r.Problems) != 0 || len(r.Warnings) != 0 || r.Version != 8 {
		t.Errorf("problems: %+v", r)
	}
	want := flamenco3.Report{
		Version: 8, Tags: flamenco3.Count{Found: 1, Imported: 1}, Workers: flamenco3.Count{Found: 2, Imported: 2},
		Schedules: flamenco3.Count{Found: 1, Imported: 1}, Jobs: flamenco3.Count{Found: 2, Imported: 2},
		Tasks: flamenco3.Count{Found: 5, Imported: 5}, Logs: flamenco3.Count{Found: 1, Imported: 1}, Images: flamenco3.Count{Found: 3, Imported: 3},
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	worker, err := f.store.Worker(t.Context(), workerID)
	if err != nil {
		t.Fatal(err)
	}
	worker.Revision = 0
	if diff := cmp.Diff(farm.Worker{
		ID: workerID, Name: "alpha", Address: "10.0.0.7", Platform: "linux", Software: "3.9", Status: farm.WorkerAwake,
		Requested: &farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true}, TaskTypes: []string{"blender", "misc"}, CanRestart: true,
		Created: oldfarm.Moment, Updated: oldfarm.Moment.Add(time.Minute), LastSeen: oldfarm.Moment.Add(time.Minute),
		Tags: []farm.Tag{{ID: gpuID, Name: "gpu", Description: "the gpu ones"}},
	}, worker); diff != "" {
		t.Errorf("the worker (-want +got):\n%s", diff)
	}
	if _, err := f.store.Worker(t.Context(), goneID); !farm.IsNotExist(err) {
		t.Errorf("the deleted worker: %v", err)
	}
	if diff := cmp.Diff([]flamenco3.SleepSchedule{{WorkerID: workerID, Active: true, Days: "mo tu", Start: "09:00", End: "18:30"}}, f.schedules); diff != "" {
		t.Errorf("schedules (-want +got):\n%s", diff)
	}

	j := f.job(jobID)
	j.Revision, j.ProjectID = 0, ""
	if diff := cmp.Diff(farm.Job{
		ID: jobID, Name: "render", Type: "simple-blender-render", Priority: 60, Status: farm.JobActive, Activity: "as it was",
		Created: oldfarm.Moment, Updated: oldfarm.Moment.Add(time.Hour), TagID: gpuID,
		Tasks: farm.TaskCounts{Queued: 2, Completed: 1, SoftFailed: 1}, StepsCompleted: 14, StepsTotal: 40,
	}, j); diff != "" {
		t.Errorf("the job (-want +got):\n%s", diff)
	}
	spec, err := f.store.JobSpec(t.Context(), jobID)
	if err != nil || spec.ShamanCheckoutID != "render-checkout" || spec.Metadata["project"] != "Sprite" || spec.Settings["frames"] != "1-10" {
		t.Errorf("its settings: %+v, %v", spec, err)
	}
	tasks := f.tasks(jobID)
	if tasks[3].ID != activeID || tasks[3].Status != farm.TaskQueued || tasks[3].StepsCompleted != 0 || tasks[3].Worker.ID != workerID {
		t.Errorf("the task that was active: %+v", tasks[3])
	}
	if tasks[0].Worker == nil || tasks[0].Worker.Name != "alpha" || !tasks[0].LastTouched.Equal(oldfarm.Moment.Add(30*time.Minute)) {
		t.Errorf("the completed task: %+v", tasks[0])
	}
	commands, err := f.store.TaskCommands(t.Context(), softID)
	if err != nil || len(commands) != 1 || commands[0].Name != "echo" || commands[0].TotalStepCount != 10 {
		t.Errorf("commands: %+v, %v", commands, err)
	}
	failed, err := f.store.FailedBy(t.Context(), softID)
	if err != nil || len(failed) != 2 || failed[0].ID != workerID {
		t.Errorf("failed by %+v, %v", failed, err)
	}
	blocked, err := f.store.Blocklist(t.Context(), jobID)
	if err != nil || len(blocked) != 1 || blocked[0].TaskType != "ffmpeg" {
		t.Errorf("blocklist %+v, %v", blocked, err)
	}
	if log := f.file(logName(jobID, doneID)); log != "a line\n" {
		t.Errorf("the log says %q", log)
	}
	if image := f.file("job-" + jobID[:4] + "/" + jobID + "/last-rendered.jpg"); image != "large" {
		t.Errorf("the image is %q", image)
	}
	if len(f.rendered) != 3 || f.rendered[2] != jobID {
		t.Errorf("the newest images are those of %v", f.rendered)
	}
	if files, err := os.ReadDir(filepath.Join(f.storage.Name(), "job-"+jobID[:4], jobID)); err != nil || len(files) != 3 {
		t.Errorf("%v, %v", files, err)
	}

	again := f.imports(old, flamenco3.Options{})
	if again.Jobs.Present != 2 || again.Tasks.Present != 5 || again.Workers.Present != 2 || again.Tags.Present != 1 || again.Jobs.Imported+again.Workers.Imported != 0 {
		t.Errorf("a second run: %+v", again)
	}
}

// Whoever puts the new Manager in the place of the old one gives both the same local storage.
func TestTheLocalStorageMayStayWhereItIs(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	_ = f.storage.Close()
	var err error
	if f.storage, err = os.OpenRoot(old.Storage); err != nil {
		t.Fatal(err)
	}
	job, jobID := old.Job("render", "completed")
	_, taskID := old.Task(job, 1, "blender", "completed")
	old.File(jobID, "task-"+taskID+".txt", "a line\n")
	old.File(jobID, "last-rendered.jpg", "large")
	r := f.imports(old, flamenco3.Options{})
	if len(r.Problems) != 0 || r.Jobs.Imported != 1 || r.Logs.Present != 1 || r.Images.Present != 1 {
		t.Errorf("report: %+v", r)
	}
	if got := f.file(logName(jobID, taskID)); got != "a line\n" {
		t.Errorf("the log is now %q", got)
	}
}

func TestTheOldFilesAreNotChanged(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	old.Many(3, 10)
	before := filesOf(t, filepath.Dir(old.Database))
	f.imports(old, flamenco3.Options{DryRun: true})
	f.imports(old, flamenco3.Options{})
	if diff := cmp.Diff(before, filesOf(t, filepath.Dir(old.Database))); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

// filesOf is the files of a folder with their contents.
func filesOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		if e.IsDir() || strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(text)
	}
	return files
}

func TestADryRunSaysTheSameAndWritesNothing(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	old.Worker("alpha", "secret", "awake")
	job, jobID := old.Job("render", "active")
	_, taskID := old.Task(job, 1, "blender", "active")
	old.File(jobID, "task-"+taskID+".txt", "a line\n")
	bad, _ := old.Job("bad", "no status")
	old.Task(bad, 1, "blender", "queued")

	dry := f.imports(old, flamenco3.Options{DryRun: true})
	empty, err := flamenco3.Import(t.Context(), sourceOf(old), flamenco3.Target{LogName: logName}, flamenco3.Options{DryRun: true})
	if err != nil {
		t.Fatal(err)
	}
	if jobs, _, err := f.store.Jobs(t.Context(), store.JobList{}); err != nil || len(jobs) != 0 {
		t.Errorf("the dry run wrote %d jobs, %v", len(jobs), err)
	}
	if files, err := os.ReadDir(f.storage.Name()); err != nil || len(files) != 0 {
		t.Errorf("the dry run wrote %v, %v", files, err)
	}
	real := f.imports(old, flamenco3.Options{})
	if !dry.DryRun || real.Jobs.Imported != 1 || real.Jobs.LeftOut != 1 || len(real.Problems) != 1 {
		t.Errorf("dry %+v, real %+v", dry, real)
	}
	dry.DryRun, empty.DryRun = false, false
	for _, r := range []flamenco3.Report{dry, empty} {
		if diff := cmp.Diff(real, r); diff != "" {
			t.Errorf("(-real +dry):\n%s", diff)
		}
	}
}

func TestAJobOnItsWayArrives(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	type statuses = []farm.TaskStatus
	all := []string{"completed", "active", "queued", "soft-failed", "failed", "canceled", "paused"}
	const (
		completed, queued, soft, failed = farm.TaskCompleted, farm.TaskQueued, farm.TaskSoftFailed, farm.TaskFailed
		canceled, paused                = farm.TaskCanceled, farm.TaskPaused
	)
	cases := []struct {
		was   string
		is    farm.JobStatus
		tasks statuses
	}{
		{"queued", farm.JobQueued, statuses{completed, queued, queued, soft, failed, canceled, paused}},
		{"active", farm.JobActive, statuses{completed, queued, queued, soft, failed, canceled, paused}},
		{"paused", farm.JobPaused, statuses{completed, paused, queued, soft, failed, canceled, paused}},
		{"pause-requested", farm.JobPaused, statuses{completed, paused, paused, paused, failed, canceled, paused}},
		{"cancel-requested", farm.JobCanceled, statuses{completed, canceled, canceled, canceled, failed, canceled, paused}},
		{"canceled", farm.JobCanceled, statuses{completed, canceled, canceled, canceled, failed, canceled, paused}},
		{"failed", farm.JobFailed, statuses{completed, canceled, canceled, canceled, failed, canceled, paused}},
		{"requeueing", farm.JobQueued, statuses{completed, queued, queued, queued, queued, queued, queued}},
		{"under-construction", farm.JobFailed, statuses{completed, canceled, canceled, canceled, failed, canceled, paused}},
		{"completed", farm.JobCanceled, statuses{completed, canceled, canceled, canceled, failed, canceled, paused}},
	}
	ids := make([]string, len(cases))
	for i, c := range cases {
		var job int64
		job, ids[i] = old.Job(c.was, c.was)
		for n, status := range all {
			old.Task(job, n+1, "misc", status)
		}
	}
	going, goingID := old.Job("going", "queued") // somebody deleted it, and the Manager had not come to it
	old.Task(going, 1, "misc", "queued")
	old.Exec("UPDATE jobs SET delete_requested_at = ? WHERE id = ?", oldfarm.At(time.Hour), going)
	over, overID := old.Job("over", "active") // its last task was completed when the Manager stopped
	old.Task(over, 1, "misc", "completed")
	hopeless, hopelessID := old.Job("hopeless", "active")
	one, _ := old.Task(hopeless, 1, "misc", "failed")
	two, _ := old.Task(hopeless, 2, "misc", "queued")
	old.Depends(two, one)
	half, halfID := old.Job("completed but for a failure", "completed")
	old.Task(half, 1, "misc", "completed")
	old.Task(half, 2, "misc", "failed")

	r := f.imports(old, flamenco3.Options{})
	for i, c := range cases {
		if j := f.job(ids[i]); j.Status != c.is {
			t.Errorf("a job that was %s is %s", c.was, j.Status)
		}
		if diff := cmp.Diff(c.tasks, f.statuses(ids[i])); diff != "" {
			t.Errorf("tasks of a job that was %s (-want +got):\n%s", c.was, diff)
		}
	}
	for id, want := range map[string]farm.JobStatus{overID: farm.JobCompleted, hopelessID: farm.JobFailed, halfID: farm.JobCompleted} {
		if j := f.job(id); j.Status != want {
			t.Errorf("job %q is %s, not %s", j.Name, j.Status, want)
		}
	}
	if j := f.job(goingID); !j.DeleteRequestedAt.Equal(oldfarm.Moment.Add(time.Hour)) {
		t.Errorf("a job that was to be deleted: %+v", j)
	}
	if unsettled, err := f.store.UnsettledJobs(t.Context()); err != nil || !slices.Equal(unsettled, []string{goingID}) {
		t.Errorf("unsettled: %v, %v", unsettled, err)
	}
	if len(r.Problems) != 2 {
		t.Errorf("reported: %+v", r.Problems)
	}
}

func TestAnOlderFileIsReadAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	w, workerID := old.Worker("alpha", "secret", "awake")
	job, jobID := old.Job("render", "active")
	task, taskID := old.Task(job, 2, "blender", "completed")
	old.Exec("UPDATE tasks SET worker_id = ? WHERE id = ?", w, task)
	old.Exec(`UPDATE goose_db_version SET version_id = 3 WHERE version_id = 8;
ALTER TABLE tasks DROP COLUMN steps_completed; ALTER TABLE tasks DROP COLUMN steps_total;
ALTER TABLE jobs DROP COLUMN steps_completed; ALTER TABLE jobs DROP COLUMN steps_total;
ALTER TABLE jobs DROP COLUMN worker_tag_id; ALTER TABLE jobs DROP COLUMN storage_shaman_checkout_id;
ALTER TABLE workers DROP COLUMN can_restart;
DROP TABLE worker_tag_membership; DROP TABLE worker_tags; DROP TABLE sleep_schedules; DROP TABLE last_rendereds; DROP TABLE job_blocks;`)
	r := f.imports(old, flamenco3.Options{})
	if r.Jobs.Imported != 1 || r.Workers.Imported != 1 || len(r.Problems) != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "version 3, older than 8") {
		t.Errorf("%+v", r)
	}
	if j := f.job(jobID); j.StepsTotal != 10 || j.StepsCompleted != 10 || j.Status != farm.JobCompleted {
		t.Errorf("the job: %+v", j)
	}
	if tasks := f.tasks(jobID); len(tasks) != 1 || tasks[0].ID != taskID || tasks[0].Worker.ID != workerID {
		t.Errorf("its tasks: %+v", tasks)
	}
}

func TestATagOfTheSameNameIsUsed(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	tag, _ := old.Tag("gpu")
	w, workerID := old.Worker("alpha", "secret", "awake")
	old.Exec("INSERT INTO worker_tag_membership VALUES (?, ?)", tag, w)
	mine, err := f.store.CreateTag(t.Context(), farm.Tag{Name: "gpu"})
	if err != nil {
		t.Fatal(err)
	}
	r := f.imports(old, flamenco3.Options{})
	if worker, err := f.store.Worker(t.Context(), workerID); err != nil || len(worker.Tags) != 1 || worker.Tags[0].ID != mine.ID || r.Tags.Present != 1 {
		t.Errorf("%+v, %v; %+v", worker, err, r)
	}
}

func TestWithoutAPlaceForSchedulesTheyAreReported(t *testing.T) {
	t.Parallel()
	old, f := setup(t)
	w, _ := old.Worker("alpha", "secret", "awake")
	old.Exec("INSERT INTO sleep_schedules (created_at, worker_id, is_active, days_of_week, start_time, end_time) VALUES (?, ?, 1, '', '22:00', '')", oldfarm.At(0), w)
	target := f.target()
	target.Schedule = nil
	r, err := flamenco3.Import(t.Context(), sourceOf(old), target, flamenco3.Options{})
	if err != nil || r.Schedules.LeftOut != 1 || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Text, "every day, 22:00 to 24:00") {
		t.Errorf("%+v, %v", r, err)
	}
}
