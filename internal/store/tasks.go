// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/micros"
	"flamenco.farm/internal/store/query"
)

// Task is a task inside a transaction: change its exported fields, then save it.
type Task struct {
	ID, JobID      string
	WorkerID       string // who has it or had it last, "" = nobody; set by Assign only
	WorkerName     string
	Name           string
	Type           string
	IndexInJob     int
	Priority       int
	Status         farm.TaskStatus
	Activity       string
	Assignment     string
	Generation     int64
	OnDisconnect   farm.OnDisconnect
	LastSequence   int64
	LogSize        int64
	StepsCompleted int
	StepsTotal     int
	Lost           int
	Touched        time.Time
	Revision       int64

	id, worker, slot int64
	openDeps         int64
	hasDependants    bool
	first            farm.TaskStatus
	stored           storedTask
	noted            noted
}

// storedTask is what the database holds of a task, as far as a change of it means more than progress.
type storedTask struct {
	status       farm.TaskStatus
	ready        bool
	worker, slot int64
	assignment   string
	generation   int64
	lost, steps  int
	log          int64
}

func (t *Task) toStore(ready bool) storedTask {
	return storedTask{t.Status, ready, t.worker, t.slot, t.Assignment, t.Generation, t.Lost, t.StepsCompleted, t.LogSize}
}

// Task locks a task: on PostgreSQL the lock of its job is that of all its tasks. Lock a worker before.
func (tx *Tx) Task(id string) (*Task, error) {
	if row, ok := use(&tx.seen().task, func(r *query.LockTaskRow) bool { return r.Task.Uuid == id }); ok {
		return txTask(row), nil
	}
	if _, err := tx.lock(lockJobOfTask, id); err != nil {
		return nil, err
	}
	row, err := tx.q.LockTask(tx.ctx, id)
	if err != nil {
		return nil, wrap(err)
	}
	return txTask(row), nil
}

// taskByID reads a task whose job is locked.
func (tx *Tx) taskByID(id int64) (*Task, error) {
	row, err := tx.q.LockTaskByID(tx.ctx, id)
	if err != nil {
		return nil, wrap(err)
	}
	return txTask(query.LockTaskRow(row)), nil
}

func (tx *Tx) tasksByID(ids []int64) ([]*Task, error) {
	tasks := make([]*Task, len(ids))
	for i, id := range ids {
		var err error
		if tasks[i], err = tx.taskByID(id); err != nil {
			return nil, err
		}
	}
	return tasks, nil
}

func txTask(row query.LockTaskRow) *Task {
	t := row.Task
	task := &Task{
		ID: t.Uuid, JobID: row.JobUuid, WorkerID: row.WorkerUuid, WorkerName: row.WorkerName, Name: t.Name, Type: t.Type,
		IndexInJob: int(t.IndexInJob), Priority: int(t.Priority), Status: farm.TaskStatus(t.Status), Activity: t.Activity,
		Assignment: t.Assignment, Generation: t.Generation, OnDisconnect: farm.OnDisconnect(t.OnDisconnect),
		LastSequence: t.LastSequence, LogSize: t.LogSize, StepsCompleted: int(t.StepsCompleted),
		StepsTotal: int(t.StepsTotal), Lost: int(t.Lost), Touched: t.TouchedAt.Time, Revision: t.Revision,
		id: t.ID, worker: t.WorkerID.Int64, slot: t.Slot, openDeps: t.OpenDeps, hasDependants: t.HasDependants,
		first: farm.TaskStatus(t.Status),
	}
	task.stored = task.toStore(t.Ready)
	return task
}

// SaveTask stores the task. With its status change the counters of the job, the number of ready tasks, what depends on
// the task and a line of history.
func (tx *Tx) SaveTask(j *Job, t *Task, why Why) error {
	ready := t.Status.Waiting() && t.openDeps == 0
	before := t.stored
	if err := tx.updateTask(t, ready); err != nil {
		return err
	}
	tx.taskChanged(t, before)
	was, steps, delta := before.status, t.StepsCompleted-before.steps, b2i(ready)-b2i(before.ready)
	if was != t.Status || steps != 0 {
		var moved farm.TaskCounts
		moved.Move(was, t.Status)
		if err := tx.addCounts(j, moved, int64(steps)); err != nil {
			return err
		}
	}
	if err := tx.addReady(j, t.Type, delta); err != nil {
		return err
	}
	if was == t.Status {
		return nil
	}
	if err := tx.tellDependants(j, t, was); err != nil {
		return err
	}
	return tx.changedStatus("task", t.id, j.id, string(was), string(t.Status), why)
}

// updateTask writes the row of a task; of one that only makes progress, which is most, a part of it.
func (tx *Tx) updateTask(t *Task, ready bool) error {
	before := t.stored
	t.stored = t.toStore(ready)
	tx.batch().forgetTask(t.ID)
	before.steps, before.log = t.StepsCompleted, t.LogSize
	if t.stored == before {
		return tx.q.UpdateTaskProgress(tx.ctx, query.UpdateTaskProgressParams{
			ID: t.id, Activity: t.Activity, LastSequence: t.LastSequence, LogSize: t.LogSize,
			StepsCompleted: int64(t.StepsCompleted), UpdatedAt: tx.stamp(), TouchedAt: micros.Of(t.Touched),
		})
	}
	return tx.q.UpdateTask(tx.ctx, query.UpdateTaskParams{
		ID: t.id, Status: string(t.Status), Activity: t.Activity, Ready: ready, WorkerID: nullID(t.worker), Slot: t.slot,
		Assignment: t.Assignment, Generation: t.Generation, LastSequence: t.LastSequence, LogSize: t.LogSize,
		StepsCompleted: int64(t.StepsCompleted), Lost: int64(t.Lost), UpdatedAt: tx.stamp(),
		TouchedAt: micros.Of(t.Touched),
	})
}

// tellDependants counts the open dependencies of the tasks that wait for this one.
func (tx *Tx) tellDependants(j *Job, t *Task, was farm.TaskStatus) error {
	delta := map[string]int{}
	switch {
	case t.Status == farm.TaskCompleted:
		if !t.hasDependants {
			return nil
		}
		rows, err := tx.q.CloseDependency(tx.ctx, t.id)
		if err != nil {
			return err
		}
		tx.batch().forgetTasks()
		for _, r := range rows {
			delta[r.Type] += b2i(r.Ready)
		}
	case was == farm.TaskCompleted && t.hasDependants:
		rows, err := tx.q.OpenDependency(tx.ctx, t.id)
		if err != nil {
			return err
		}
		for _, r := range rows {
			delta[r.Type] -= b2i(r.Ready)
		}
		tx.batch().forgetTasks()
		if err := tx.q.ReopenDependants(tx.ctx, t.id); err != nil {
			return err
		}
	}
	for taskType, n := range delta {
		if err := tx.addReady(j, taskType, n); err != nil {
			return err
		}
	}
	return nil
}

// TouchTask notes that the worker of the task named it.
func (tx *Tx) TouchTask(t *Task) error {
	t.Touched = tx.now
	tx.batch().forgetTask(t.ID)
	return tx.q.TouchTask(tx.ctx, query.TouchTaskParams{ID: t.id, TouchedAt: tx.stamp()})
}

// ActiveTasks lists the tasks that a worker has in hand, by slot.
func (tx *Tx) ActiveTasks(w *Worker) ([]*Task, error) {
	if _, err := tx.lock(lockJobsInHand, w.id); err != nil {
		return nil, err
	}
	ids, err := tx.q.ActiveTasksOfWorker(tx.ctx, nullID(w.id))
	if err != nil {
		return nil, err
	}
	return tx.tasksByID(ids)
}

// Dependants lists what depends on a task, directly or not, and is not queued.
func (tx *Tx) Dependants(t *Task) ([]*Task, error) {
	ids, err := tx.q.DependantsToRequeue(tx.ctx, t.id)
	if err != nil {
		return nil, err
	}
	return tx.tasksByID(ids)
}

// UntouchedTasks lists up to n active tasks whose worker has not named them since before.
func (s *Store) UntouchedTasks(ctx context.Context, before time.Time, n int) ([]string, error) {
	ids, err := s.reads.UntouchedTasks(ctx, query.UntouchedTasksParams{TouchedAt: micros.Of(before), N: int64(n)})
	return ids, wrap(err)
}

// Task is what a list shows of a task.
func (s *Store) Task(ctx context.Context, id string) (farm.Task, error) {
	row, err := s.reads.TaskByUUID(ctx, id)
	if err != nil {
		return farm.Task{}, wrap(err)
	}
	return farmTask(row), nil
}

// TaskCommands are the commands of a task as they were compiled, variables not expanded.
func (s *Store) TaskCommands(ctx context.Context, id string) ([]farm.Command, error) {
	text, err := s.reads.TaskCommands(ctx, id)
	if err != nil {
		return nil, wrap(err)
	}
	return decodeCommands(text)
}

// WorkerTask is the active task of a worker, else the one it had last, else farm.ErrNotExist.
func (s *Store) WorkerTask(ctx context.Context, workerID string) (farm.Task, error) {
	id, err := s.reads.WorkerTask(ctx, workerID)
	if err == nil && id == "" {
		err = farm.ErrNotExist
	}
	if err != nil {
		return farm.Task{}, wrap(err)
	}
	return s.Task(ctx, id)
}

func decodeCommands(text string) (commands []farm.Command, err error) {
	if err := json.Unmarshal([]byte(text), &commands); err != nil {
		return nil, fmt.Errorf("commands of a task in the database: %w", err)
	}
	return commands, nil
}

func farmTask(row query.TaskByUUIDRow) farm.Task {
	t := row.Task
	task := farm.Task{
		ID: t.Uuid, JobID: row.JobUuid, IndexInJob: int(t.IndexInJob), Name: t.Name, Type: t.Type,
		Status: farm.TaskStatus(t.Status), Priority: int(t.Priority), Activity: t.Activity, Created: t.CreatedAt.Time,
		Updated: t.UpdatedAt.Time, LastTouched: t.TouchedAt.Time, StepsCompleted: int(t.StepsCompleted),
		StepsTotal: int(t.StepsTotal), Lost: int(t.Lost), Generation: t.Generation, Revision: t.Revision,
	}
	if row.WorkerUuid != "" {
		task.Worker = &farm.TaskWorker{ID: row.WorkerUuid, Name: row.WorkerName, Address: row.WorkerAddress}
	}
	return task
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Glance is what a call of a worker about a task has to know before it needs a transaction.
type Glance struct {
	Session   string // of the worker
	Requested *farm.StatusRequest
	LastSeen  time.Time

	JobID        string // "" = there is no such task
	Held         bool   // the worker got it last
	Status       farm.TaskStatus
	Assignment   string
	Generation   int64
	LastSequence int64
	LogSize      int64
	Touched      time.Time
}

// Glance looks at a worker and a task at once; farm.ErrNotExist if there is no such worker.
func (s *Store) Glance(ctx context.Context, workerID, taskID string) (Glance, error) {
	row, err := s.reads.GlanceAtTask(s.brief(ctx), query.GlanceAtTaskParams{TaskUuid: taskID, Uuid: workerID})
	return Glance{
		Session: row.Session, Requested: statusRequest(row.StatusRequested, row.LazyRequest), LastSeen: row.LastSeenAt.Time,
		JobID: row.JobUuid, Held: row.Held, Status: farm.TaskStatus(row.Status), Assignment: row.Assignment,
		Generation: row.Generation, LastSequence: row.LastSequence, LogSize: row.LogSize, Touched: row.TouchedAt.Time,
	}, wrap(err)
}

// PeekTask reads a task as a transaction would, without one.
func (s *Store) PeekTask(ctx context.Context, id string) (*Task, error) {
	row, err := s.reads.LockTask(s.brief(ctx), id)
	if err != nil {
		return nil, wrap(err)
	}
	return txTask(row), nil
}

// StaleTasks lists up to n active tasks of workers not heard of since keepBefore; those that their worker stops by
// itself when it loses the Manager are listed only from stopBefore on, when the worker must have stopped them.
func (s *Store) StaleTasks(ctx context.Context, keepBefore, stopBefore time.Time, n int) ([]string, error) {
	ids, err := s.reads.StaleTasks(ctx, query.StaleTasksParams{
		KeepBefore: keepBefore.UnixMicro(), StopBefore: stopBefore.UnixMicro(), N: int64(n),
	})
	return ids, wrap(err)
}
