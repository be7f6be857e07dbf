// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// checkModel makes random histories, checks the books after each step, and each claim against a query that looks at
// every task of the farm.
func checkModel(t *testing.T, open Open) {
	rapid.Check(t, func(r *rapid.T) {
		st, rows := open(t, func([]farm.Change) {})
		defer func() {
			if err := st.Close(); err != nil {
				r.Error(err)
			}
		}()
		defer rows.Close()
		m := &model{Farm: &Farm{t: r, ctx: t.Context(), Store: st, rows: rows, checker: NewChecker(rows)}, r: r}
		for _, name := range []string{"gpu", "cpu"} {
			m.tags = append(m.tags, m.tag(name))
		}
		for i, types := range [][]string{{"a"}, {"b", "a"}, {"a", "b", "c"}} {
			m.workers = append(m.workers, m.Worker(fmt.Sprint("worker ", i), types...))
		}
		m.setTags(m.workers[1], m.tags[0])
		m.setTags(m.workers[2], m.tags...)
		m.submit()
		r.Repeat(map[string]func(*rapid.T){
			"": func(*rapid.T) { m.check() }, "submit": m.do1(m.submit), "claim": m.do1(m.claim), "claim too": m.do1(m.claim),
			"end": m.do1(m.end), "end too": m.do1(m.end), "command": m.do1(m.command), "step": m.do1(m.step),
			"reopen": m.do1(m.reopen), "mass": m.do1(m.mass), "save job": m.do1(m.changeJob), "block": m.do1(m.blocks),
			"fail": m.do1(m.fails), "delete tag": m.do1(m.deleteTag), "undo": m.do1(m.undo), "requeue": m.do1(m.requeue),
		})
	})
}

// model is a farm with what was put into it. What is random is drawn outside of transactions: rapid ends a history with a
// panic, which the store would catch.
type model struct {
	*Farm
	r                          *rapid.T
	tags, workers, jobs, tasks []string
}

func (m *model) do1(step func()) func(*rapid.T) {
	return func(r *rapid.T) {
		m.r, m.t = r, r
		step()
	}
}

func pick[T any](m *model, what string, from []T) T { return rapid.SampledFrom(from).Draw(m.r, what) }

func (m *model) oneOf(what string, n int) bool { return rapid.IntRange(1, n).Draw(m.r, what) == 1 }

func (m *model) submit() {
	if len(m.jobs) == 4 {
		m.r.Skip("enough jobs")
	}
	job := NewJob(fmt.Sprint("job ", len(m.jobs)))
	job.Priority = rapid.IntRange(0, 2).Draw(m.r, "priority")
	if m.oneOf("paused", 5) {
		job.InitialStatus = farm.JobPaused
	}
	if len(m.tags) > 0 && m.oneOf("tagged", 4) {
		job.TagID = pick(m, "tag", m.tags)
	}
	n := rapid.IntRange(1, 8).Draw(m.r, "tasks")
	for i := range n {
		task := NewTask(pick(m, "type", []string{"a", "b", "c"}))
		task.Priority = rapid.IntRange(0, 1).Draw(m.r, "task priority")
		if i > 0 && m.oneOf("dependent", 2) {
			task.Dependencies = rapid.SliceOfN(rapid.IntRange(0, i-1), 1, 3).Draw(m.r, "dependencies")
		}
		job.Tasks = append(job.Tasks, task)
	}
	id, tasks := m.Submit(job)
	m.jobs, m.tasks = append(m.jobs, id), append(m.tasks, tasks...)
}

const bestTask = `
SELECT COALESCE((SELECT t.uuid FROM tasks t JOIN jobs j ON j.id = t.job_id, workers w
WHERE w.uuid = $1 AND j.status IN ('queued', 'active') AND t.status IN ('queued', 'soft-failed')
    AND NOT EXISTS (SELECT 1 FROM task_dependencies d JOIN tasks p ON p.id = d.dependency_id
        WHERE d.task_id = t.id AND p.status <> 'completed')
    AND EXISTS (SELECT 1 FROM worker_task_types tt WHERE tt.worker_id = w.id AND tt.task_type = t.type)
    AND (j.tag_id IS NULL OR EXISTS (SELECT 1 FROM worker_tags wt WHERE wt.worker_id = w.id AND wt.tag_id = j.tag_id))
    AND NOT EXISTS (SELECT 1 FROM job_blocks b WHERE b.job_id = j.id AND b.worker_id = w.id AND b.task_type = t.type)
    AND NOT EXISTS (SELECT 1 FROM task_failures f WHERE f.task_id = t.id AND f.worker_id = w.id)
ORDER BY j.priority DESC, j.id, t.priority DESC, t.index_in_job LIMIT 1), '')`

func (m *model) claim() {
	w := pick(m, "worker", m.workers)
	if m.count(`SELECT count(*) FROM tasks t JOIN workers w ON w.id = t.worker_id WHERE w.uuid = $1 AND t.status = 'active'`, w) > 0 {
		m.r.Skip("it has a task")
	}
	var want string
	m.must(m.rows.QueryRowContext(m.ctx, bestTask, w).Scan(&want))
	m.wantClaim(w, want)
}

func (m *model) end() {
	task := pick(m, "task", m.tasks)
	to := pick(m, "status", []farm.TaskStatus{
		farm.TaskCompleted, farm.TaskCompleted, farm.TaskQueued, farm.TaskSoftFailed, farm.TaskFailed, farm.TaskCanceled, farm.TaskPaused,
	})
	m.End(task, to)
}

func (m *model) command() {
	task, goesOn := pick(m, "task", m.tasks), m.oneOf("goes on", 2)
	m.onTask(task, func(tx *store.Tx, _ *store.Job, t *store.Task) error {
		if t.Status != farm.TaskActive {
			return nil
		}
		if err := tx.StartStep(t, 0, "echo"); err != nil || goesOn {
			return err
		}
		return tx.EndStep(t, 0, nil)
	})
}

func (m *model) step() {
	m.onTask(pick(m, "task", m.tasks), func(tx *store.Tx, j *store.Job, t *store.Task) error {
		t.StepsCompleted = min(t.StepsCompleted+1, t.StepsTotal)
		return tx.SaveTask(j, t, store.ByManager(""))
	})
}

func (m *model) reopen() {
	m.onTask(pick(m, "task", m.tasks), func(tx *store.Tx, j *store.Job, t *store.Task) error {
		lost, err := tx.Lost(t)
		if farm.IsNotExist(err) || !lost {
			return nil
		}
		w, err := tx.Worker(t.WorkerID)
		if err != nil {
			return err
		}
		if _, err := tx.TaskInSlot(w, t.Slot()); !farm.IsNotExist(err) {
			return err
		}
		if err := tx.ReopenAttempt(t); err != nil {
			return err
		}
		t.Status = farm.TaskActive
		return tx.SaveTask(j, t, store.ByManager("back"))
	})
}

func (m *model) mass() {
	to := pick(m, "to", []farm.TaskStatus{farm.TaskQueued, farm.TaskCanceled, farm.TaskPaused})
	var from []farm.TaskStatus
	for _, s := range rapid.Permutation(farm.TaskStatuses).Draw(m.r, "statuses")[:rapid.IntRange(1, 5).Draw(m.r, "n")] {
		if s != to {
			from = append(from, s)
		}
	}
	if len(from) > 0 {
		m.changeAll(pick(m, "job", m.jobs), rapid.IntRange(1, 4).Draw(m.r, "slice"), store.Mass{From: from, To: to})
	}
}

func (m *model) changeJob() {
	status := pick(m, "status", append([]farm.JobStatus{farm.JobActive, farm.JobQueued, farm.JobActive}, farm.JobStatuses...))
	priority := rapid.IntRange(0, 2).Draw(m.r, "priority")
	tag := pick(m, "tag", append([]string{""}, m.tags...))
	m.onJob(pick(m, "job", m.jobs), func(tx *store.Tx, j *store.Job) error {
		j.Status, j.Priority = status, priority
		return errors.Join(tx.SetTag(j, tag), tx.SaveJob(j, store.ByManager("")))
	})
}

func (m *model) blocks() {
	w, taskType := pick(m, "worker", m.workers), pick(m, "type", []string{"a", "b", "c"})
	what := pick(m, "what", []string{"block", "block", "unblock", "forget"})
	m.onJob(pick(m, "job", m.jobs), func(tx *store.Tx, j *store.Job) error {
		worker, err := tx.Worker(w)
		if err != nil {
			return err
		}
		switch what {
		case "unblock":
			return tx.UnblockType(j, taskType)
		case "forget":
			return tx.ForgetFailures(j)
		}
		return tx.Block(j, worker, taskType)
	})
}

func (m *model) fails() { m.fail(pick(m, "task", m.tasks), pick(m, "worker", m.workers)) }

func (m *model) deleteTag() {
	if len(m.tags) == 0 || !m.oneOf("really", 4) {
		m.r.Skip("keep it")
	}
	m.Farm.do(func(tx *store.Tx) error { return tx.DeleteTag(m.tags[0]) })
	m.tags = m.tags[1:]
}

// requeue puts a task back with all that depends on it, reading each again because the one before may have changed it.
func (m *model) requeue() {
	m.onTask(pick(m, "task", m.tasks), func(tx *store.Tx, j *store.Job, t *store.Task) error {
		dependants, err := tx.Dependants(t)
		for _, d := range append([]*store.Task{t}, dependants...) {
			if err == nil {
				d, err = tx.Task(d.ID)
			}
			if err == nil {
				err = end(tx, j, d, farm.TaskQueued)
			}
		}
		return err
	})
}

// undo makes changes of every kind and then fails.
func (m *model) undo() {
	stop := errors.New("stop")
	task := pick(m, "task", m.tasks)
	err := m.Store.Do(m.ctx, func(tx *store.Tx) error {
		return onTask(tx, task, func(tx *store.Tx, j *store.Job, t *store.Task) error {
			j.Status, j.Priority = farm.JobFailed, 9
			_, insert := tx.InsertJob(NewJob("undone", NewTask("a")))
			_, _, mass := tx.ChangeSlice(j, store.Mass{From: []farm.TaskStatus{farm.TaskActive, farm.TaskQueued}, To: farm.TaskCanceled},
				0, 3, store.ByManager(""))
			return errors.Join(insert, mass, tx.SaveJob(j, store.ByManager("")), stop)
		})
	})
	if !errors.Is(err, stop) || m.count("SELECT count(*) FROM jobs") != len(m.jobs) {
		m.t.Fatalf("undone with %v", err)
	}
}
