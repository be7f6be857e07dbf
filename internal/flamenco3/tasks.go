// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"context"
	"fmt"
	"slices"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// What one job may have; a job with more is left out.
const (
	maxTasks        = 1_000_000
	maxCommands     = 256 << 20 // bytes
	maxDependencies = 5_000_000
	maxSteps        = 1_000_000_000
)

var taskColumns = []string{
	"id", "created_at", "updated_at", "uuid", "name", "type", "priority", "status", "worker_id", "last_touched_at", "commands",
	"activity", "steps_completed", "steps_total",
}

// jobSize is how much there is to read of a job.
type jobSize struct {
	tasks    int
	commands int64
}

func (s jobSize) problem() string {
	switch {
	case s.tasks > maxTasks:
		return fmt.Sprintf("it has more than %d tasks", maxTasks)
	case s.commands > maxCommands:
		return fmt.Sprintf("the commands of its tasks are larger than %d MiB", maxCommands>>20)
	}
	return ""
}

func (im *importer) sizeOf(ctx context.Context, job *row) (size jobSize, err error) {
	commands := "0"
	if im.old.has("tasks", "commands") {
		commands = "COALESCE(sum(octet_length(commands)), 0)"
	}
	err = im.old.db.QueryRowContext(ctx, "SELECT count(*), "+commands+" FROM tasks WHERE job_id = $1", job.key()).Scan(&size.tasks, &size.commands)
	return size, err
}

// ofJob selects the rows of a table that belong to tasks of a job.
const ofJob = "WHERE task_id IN (SELECT id FROM tasks WHERE job_id = $1)"

// readTasks reads the tasks of a job, and what belongs to them. problem says why the job cannot be brought over: one with
// a hole in it would run wrongly.
func (im *importer) readTasks(ctx context.Context, job *row, j *store.ImportedJob) (problem string, err error) {
	order := "ORDER BY rowid"
	if im.old.has("tasks", "index_in_job") {
		order = "ORDER BY index_in_job, rowid"
	}
	rows, err := im.old.rows(ctx, "tasks", taskColumns, "WHERE job_id = $1 "+order, job.key())
	if err != nil {
		return "", err
	}
	at := make(map[int64]int, len(rows))
	for i, r := range rows {
		t, problem := im.readTask(r, j)
		if problem != "" {
			return r.name("task") + ": " + problem, nil
		}
		at[r.key()] = i
		j.Tasks = append(j.Tasks, t)
	}
	for _, read := range []func(context.Context, *row, *store.ImportedJob, map[int64]int) (string, error){
		im.readDependencies, im.readFailures, im.readBlocklist,
	} {
		if problem, err := read(ctx, job, j, at); problem != "" || err != nil {
			return problem, err
		}
	}
	return "", nil
}

func (im *importer) readTask(r *row, j *store.ImportedJob) (t store.ImportedTask, problem string) {
	id, ok := r.id()
	if !ok {
		return t, "its uuid is not an id"
	}
	if !im.first(id) {
		return t, "its id was there before"
	}
	status := farm.TaskStatus(r.text("status"))
	if !status.Valid() {
		return t, fmt.Sprintf("its status %.40q is unknown", status)
	}
	t = store.ImportedTask{
		NewTask: farm.NewTask{
			ID: id, Name: r.short("name", maxName), Type: r.short("type", maxName), Priority: r.number("priority", -maxSteps, maxSteps),
		},
		Activity: r.short("activity", maxText), Created: r.time("created_at"), Updated: r.time("updated_at"),
		Touched: r.time("last_touched_at"), StepsTotal: r.number("steps_total", 0, maxSteps), StepsCompleted: r.number("steps_completed", 0, maxSteps),
	}
	if problem := readCommands(r.text("commands"), &t); problem != "" {
		return t, problem
	}
	if worker := r.reference("worker_id"); worker != 0 {
		if t.WorkerID, ok = im.workers[worker]; !ok {
			r.bad("worker_id", "names a worker that is not there")
		}
	}
	t.Outcome = outcomeOf(status)
	if status == farm.TaskActive { // nobody can tell whether its worker still runs it
		status = farm.TaskQueued
		if j.Status == farm.JobPaused || j.Status == farm.JobPauseRequested {
			status = farm.TaskPaused
		}
	}
	setStatus(&t, status)
	im.changed("task "+id, r)
	return t, ""
}

// outcomeOf is how the last attempt at a task ended.
func outcomeOf(status farm.TaskStatus) farm.Outcome {
	switch status {
	case farm.TaskCompleted:
		return farm.OutcomeCompleted
	case farm.TaskFailed, farm.TaskSoftFailed:
		return farm.OutcomeFailed
	case farm.TaskCanceled:
		return farm.OutcomeCanceled
	}
	return farm.OutcomeLost
}

func readCommands(text string, t *store.ImportedTask) (problem string) {
	if text == "" {
		return "its commands are missing or too large"
	}
	if err := readJSON(text, &t.Commands); err != nil {
		return fmt.Sprintf("its commands are not understood: %s", err)
	}
	steps := 0
	for _, c := range t.Commands {
		if c.TotalStepCount < 0 || c.TotalStepCount > maxSteps {
			return "a command of it has an impossible number of steps"
		}
		steps = min(maxSteps, steps+max(1, c.TotalStepCount))
	}
	if t.StepsTotal == 0 { // Flamenco 3 counted no steps before a task began, and older versions none at all
		t.StepsTotal = steps
	}
	return ""
}

func (im *importer) readDependencies(ctx context.Context, job *row, j *store.ImportedJob, at map[int64]int) (string, error) {
	rows, err := im.old.rows(ctx, "task_dependencies", []string{"task_id", "dependency_id"}, fmt.Sprintf(ofJob+" LIMIT %d", maxDependencies+1), job.key())
	if err != nil {
		return "", err
	}
	if len(rows) > maxDependencies {
		return fmt.Sprintf("its tasks have more than %d dependencies", maxDependencies), nil
	}
	for _, r := range rows {
		task, ok := at[r.reference("task_id")]
		if !ok {
			continue
		}
		on, ok := at[r.reference("dependency_id")]
		if !ok {
			im.report.problem("task "+j.Tasks[task].ID, "it depends on a task that is not in its job; that is dropped")
			continue
		}
		j.Tasks[task].Dependencies = append(j.Tasks[task].Dependencies, on)
	}
	if circular(j.Tasks) {
		return "its tasks depend on each other in a circle", nil
	}
	return "", nil
}

// circular reports whether some task depends on itself, by way of others or not.
func circular(tasks []store.ImportedTask) bool {
	open := make([]int, len(tasks))
	waiting := make([][]int, len(tasks))
	for i, t := range tasks {
		open[i] = len(t.Dependencies)
		for _, d := range t.Dependencies {
			waiting[d] = append(waiting[d], i)
		}
	}
	var free []int
	for i, n := range open {
		if n == 0 {
			free = append(free, i)
		}
	}
	done := 0
	for ; len(free) > 0; done++ {
		last := len(free) - 1
		i := free[last]
		free = free[:last]
		for _, w := range waiting[i] {
			if open[w]--; open[w] == 0 {
				free = append(free, w)
			}
		}
	}
	return done < len(tasks)
}

func (im *importer) readFailures(ctx context.Context, job *row, j *store.ImportedJob, at map[int64]int) (string, error) {
	rows, err := im.old.rows(ctx, "task_failures", []string{"created_at", "task_id", "worker_id"}, fmt.Sprintf(ofJob+" LIMIT %d", maxDependencies), job.key())
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		i, ok := at[r.reference("task_id")]
		if !ok {
			continue
		}
		t := &j.Tasks[i]
		worker, ok := im.workers[r.reference("worker_id")]
		if !ok {
			im.report.problem("task "+t.ID, "a worker that is not there failed it; that is dropped")
			continue
		}
		if !slices.ContainsFunc(t.FailedBy, func(f store.ImportedFailure) bool { return f.WorkerID == worker }) {
			t.FailedBy = append(t.FailedBy, store.ImportedFailure{WorkerID: worker, Created: cmpTime(r.time("created_at"), t.Updated)})
		}
	}
	return "", nil
}

func (im *importer) readBlocklist(ctx context.Context, job *row, j *store.ImportedJob, _ map[int64]int) (string, error) {
	rows, err := im.old.rows(ctx, "job_blocks", []string{"created_at", "worker_id", "task_type"}, "WHERE job_id = $1 LIMIT 100000", job.key())
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		worker, ok := im.workers[r.reference("worker_id")]
		if !ok {
			im.report.problem("job "+j.ID, "a worker that is not there is on its blocklist; that is dropped")
			continue
		}
		j.Blocklist = append(j.Blocklist, store.ImportedBlock{
			WorkerID: worker, TaskType: r.short("task_type", maxName), Created: cmpTime(r.time("created_at"), j.Created),
		})
	}
	return "", nil
}
