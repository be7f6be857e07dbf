// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
	"flamenco.farm/internal/store"
)

// Update takes what a worker reports of a task. Only the last one who got the task is listened to; anybody else gets
// CodeNotAssigned. A report that comes again changes nothing. A status that comes too late, because the task was
// canceled, requeued or finished meanwhile, is ignored with CodeConflict, its log kept.
func (s *Service) Update(ctx context.Context, u Update) error {
	repeated, err := s.takeUpdate(ctx, u)
	s.counts.updates[updateAnswer(repeated, err)].Add(1)
	return err
}

func (s *Service) takeUpdate(ctx context.Context, u Update) (repeated bool, err error) {
	if err := u.check(); err != nil {
		return false, err
	}
	lock := s.logLock(u.TaskID)
	lock.Lock()
	kept, err := s.keepLog(ctx, u)
	lock.Unlock()
	if err != nil {
		return false, err
	}
	var after aftermath
	err = s.store.DoAhead(ctx, store.Ahead{WorkerID: u.WorkerID, TaskID: u.TaskID}, func(tx *store.Tx) error {
		after = aftermath{}
		return s.update(tx, u, kept, &after)
	})
	if err != nil {
		return false, err
	}
	return after.repeated, s.finish(ctx, after)
}

// aftermath is what remains to be done after the commit of an update.
type aftermath struct {
	jobID  string
	settle bool
	late   string     // why the status was ignored
	line   string     // for the task log
	log    farm.LogID // which one
	ended  bool       // with this update the attempt has ended

	repeated bool // it had been taken before
}

func (s *Service) finish(ctx context.Context, a aftermath) error {
	if a.line != "" {
		s.logLine(a.log, a.line)
	}
	if a.ended {
		s.TaskLog.Ended(a.log)
	}
	if a.settle {
		if err := s.settle(ctx, a.jobID); err != nil && !canceled(err) {
			s.Log.Error("cannot finish the change of a job, will try again", "job", a.jobID, "error", err)
		}
	}
	if a.late != "" {
		return farm.Errorf(farm.CodeConflict, "%s", a.late)
	}
	return nil
}

// finishLater is finish for changes that nobody waits for. A line says that an attempt was lost.
func (s *Service) finishLater(all []aftermath) {
	for _, a := range all {
		if a.line != "" {
			s.logLine(a.log, a.line)
			s.TaskLog.Ended(a.log)
		}
		if a.settle {
			s.settleLater()
		}
	}
}

func (u Update) check() error {
	if u.Status == nil {
		return nil
	}
	switch *u.Status {
	case farm.TaskActive, farm.TaskCompleted, farm.TaskFailed:
		return nil
	}
	return farm.Errorf(farm.CodeInvalid, "taskStatus: a worker cannot report %q, only active, completed or failed", *u.Status)
}

// isLast reports whether the update comes from whoever got the task last.
func (u Update) isLast(held bool, assignment string) bool {
	return held && (u.Assignment == "" || u.Assignment == assignment)
}

func (u Update) seenBefore(lastSequence int64) bool {
	return u.Sequence > 0 && u.Sequence <= lastSequence
}

// keptLog is what keepLog wrote: the log of which attempt, and its size afterwards; the zero value if nothing.
type keptLog struct{ generation, size int64 }

// keepLog writes the log chunk of an update before its transaction. When the transaction fails the worker sends the chunk
// again, and it is found in the log: what lies behind the size that the database knows is searched for it.
func (s *Service) keepLog(ctx context.Context, u Update) (keptLog, error) {
	if u.Log == nil || *u.Log == "" {
		return keptLog{}, nil
	}
	t, err := s.store.Glance(ctx, u.WorkerID, u.TaskID)
	if err != nil && !farm.IsNotExist(err) { // what is not there the transaction says better
		return keptLog{}, err
	}
	if !u.isLast(t.Held, t.Assignment) || u.seenBefore(t.LastSequence) {
		return keptLog{}, nil
	}
	size, err := s.TaskLog.AppendChunk(farm.LogID{JobID: t.JobID, TaskID: u.TaskID, Generation: t.Generation}, t.LogSize, *u.Log)
	return keptLog{generation: t.Generation, size: size}, err
}

func (s *Service) update(tx *store.Tx, u Update, kept keptLog, after *aftermath) error {
	w, t, err := s.reporter(tx, u)
	if err != nil {
		return err
	}
	if u.seenBefore(t.LastSequence) {
		after.repeated = true
		return nil
	}
	j, err := tx.Job(t.JobID)
	if err != nil {
		return err
	}
	after.jobID, after.log = t.JobID, logOf(t)
	t.LastSequence = max(t.LastSequence, u.Sequence)
	if kept.generation == t.Generation {
		t.LogSize = max(t.LogSize, kept.size)
	}
	ours, err := stillOurs(tx, j, t, w, u, after)
	if err != nil {
		return err
	}
	if !ours {
		return tx.SaveTask(j, t, store.ByManager("")) // the sequence and the log
	}
	if err := noteCommand(tx, t, u.Command); err != nil {
		return err
	}
	t.Touched = tx.Now()
	if u.Activity != nil {
		t.Activity = *u.Activity
	}
	if u.Steps != nil {
		t.StepsCompleted = min(max(*u.Steps, 0), t.StepsTotal)
	}
	if err := s.applyStatus(tx, j, t, w, u, after); err != nil {
		return err
	}
	after.settle, err = rest(tx, j, store.ByManager(""))
	return err
}

// reporter loads the worker and the task of an update and refuses anyone but the last assigned.
func (s *Service) reporter(tx *store.Tx, u Update) (*store.Worker, *store.Task, error) {
	caller := u.Caller
	if u.Assignment != "" {
		caller.Session = "" // the assignment says more: what an earlier session finished still counts
	}
	w, err := s.worker(tx, caller)
	if err != nil {
		return nil, nil, err
	}
	t, err := tx.Task(u.TaskID)
	if farm.IsNotExist(err) {
		return nil, nil, farm.Errorf(farm.CodeNotFound, "there is no task %s", u.TaskID)
	}
	if err != nil {
		return nil, nil, err
	}
	if !u.isLast(t.WorkerID == u.WorkerID, t.Assignment) {
		return nil, nil, farm.Errorf(farm.CodeNotAssigned, "task %s is not assigned to this worker any more", u.TaskID)
	}
	return w, t, nil
}

// stillOurs tells whether what the last assigned worker reports counts. A task that was lost and that nobody else got
// meanwhile is finished, or goes on, as if nothing had happened; for any other that is not active it is too late.
func stillOurs(tx *store.Tx, j *store.Job, t *store.Task, w *store.Worker, u Update, after *aftermath) (bool, error) {
	if j.DeleteRequested {
		if u.Status != nil {
			after.late = errDeleting.Message
		}
		return false, nil
	}
	if t.Status == farm.TaskActive {
		return true, nil
	}
	if u.Status != nil && *u.Status == t.Status {
		return false, nil
	}
	lost, err := tx.Lost(t)
	if err != nil {
		return false, err
	}
	reason := fmt.Sprintf("the task is %s", t.Status)
	if lost {
		var accept bool
		if accept, reason = flow.LateResult(j.Status, t.Status); accept && u.Status != nil && u.Status.Final() {
			return true, nil
		} else if accept {
			return takeBack(tx, j, t, w, u.Session)
		}
	}
	if u.Status != nil {
		after.late = reason
	}
	return false, nil
}

// takeBack makes a lost task active again in the hands of the worker that had it, unless that has another one now, was
// restarted since or went to rest: then what it still had to say does not show that the task runs.
func takeBack(tx *store.Tx, j *store.Job, t *store.Task, w *store.Worker, session string) (bool, error) {
	if (session != "" && session != w.Session) || w.Status == farm.WorkerAsleep || w.Status == farm.WorkerOffline {
		return false, nil
	}
	if _, err := tx.TaskInSlot(w, t.Slot()); !farm.IsNotExist(err) {
		return false, err
	}
	if err := tx.ReopenAttempt(t); err != nil {
		return false, err
	}
	t.Status = farm.TaskActive
	return true, tx.SaveTask(j, t, store.ByManager("its worker is back, and nobody else had got it"))
}

func (s *Service) applyStatus(tx *store.Tx, j *store.Job, t *store.Task, w *store.Worker, u Update, after *aftermath) error {
	status := farm.TaskActive
	if u.Status != nil {
		status = *u.Status
	}
	var exitCode *int
	if u.Command != nil {
		exitCode = u.Command.ExitCode
	}
	switch status {
	case farm.TaskCompleted:
		if err := tx.EndAttempt(t, farm.OutcomeCompleted, "", exitCode); err != nil {
			return err
		}
		t.Status = status
		t.StepsCompleted = t.StepsTotal
		after.line, after.ended = "Task completed", true
		return tx.SaveTask(j, t, store.ByWorker(w.ID, ""))
	case farm.TaskFailed:
		if err := s.fail(tx, j, t, w, t.Activity, exitCode); err != nil {
			return err
		}
		after.line, after.ended = fmt.Sprintf("Task failed on worker %s, its status is now %s", w.Name, t.Status), true
		return nil
	}
	return tx.SaveTask(j, t, store.ByWorker(w.ID, ""))
}

func noteCommand(tx *store.Tx, t *store.Task, c *CommandUpdate) error {
	if c == nil {
		return nil
	}
	if err := tx.StartStep(t, c.Index, c.Name); err != nil {
		return err
	}
	if !c.Ended {
		return nil
	}
	return tx.EndStep(t, c.Index, c.ExitCode)
}

// MayRun tells a worker whether to go on with a task, and why not.
func (s *Service) MayRun(ctx context.Context, c Caller, taskID, assignment string) (Permit, error) {
	t, err := s.store.Glance(ctx, c.WorkerID, taskID)
	if err != nil {
		return Permit{}, err
	}
	if c.Session != "" && c.Session != t.Session {
		return Permit{Reason: errSessionOver.Message}, nil
	}
	if t.Requested != nil && !t.Requested.Lazy {
		return Permit{Reason: fmt.Sprintf("the worker is asked to become %s", t.Requested.Status), StatusRequested: true}, nil
	}
	if t.JobID == "" {
		return Permit{Reason: "there is no such task"}, nil
	}
	u := Update{Caller: c, TaskID: taskID, Assignment: assignment}
	if !u.isLast(t.Held, t.Assignment) {
		return Permit{Reason: "the task is assigned to another worker"}, nil
	}
	if t.Status == farm.TaskActive && s.fresh(t.LastSeen) && s.fresh(t.Touched) {
		return Permit{MayRun: true}, nil
	}
	return s.touch(ctx, u)
}

// MayShow tells whether a worker may send a picture of a task's output, and of which job it is. Whoever got the task last may,
// also when it has ended meanwhile: the picture of its last frame is often later than its last update.
func (s *Service) MayShow(ctx context.Context, c Caller, taskID, assignment string) (jobID string, err error) {
	t, err := s.store.Glance(ctx, c.WorkerID, taskID)
	if err != nil {
		return "", err
	}
	if t.JobID == "" {
		return "", farm.Errorf(farm.CodeNotFound, "there is no task %s", taskID)
	}
	u := Update{Caller: c, TaskID: taskID, Assignment: assignment}
	if !u.isLast(t.Held, t.Assignment) {
		return "", farm.Errorf(farm.CodeNotAssigned, "task %s is not assigned to this worker any more", taskID)
	}
	if t.Status == farm.TaskActive && !s.fresh(t.Touched) {
		_, err = s.touch(ctx, u)
	}
	return t.JobID, err
}

// fresh reports whether a time need not be written again yet.
func (s *Service) fresh(t time.Time) bool { return s.store.Latest().Sub(t) < s.writeEvery() }

// touch renews the lease of a running task; one that was lost and that nobody else got is taken back.
func (s *Service) touch(ctx context.Context, u Update) (p Permit, err error) {
	err = s.store.DoAhead(ctx, store.Ahead{WorkerID: u.WorkerID, TaskID: u.TaskID}, func(tx *store.Tx) error {
		p = Permit{}
		w, t, err := s.reporter(tx, u)
		if farm.CodeOf(err) == farm.CodeNotAssigned {
			p.Reason = "the task is assigned to another worker"
			return nil
		}
		if err != nil {
			return err
		}
		j, err := tx.Job(t.JobID)
		if err != nil {
			return err
		}
		if p.MayRun, err = stillOurs(tx, j, t, w, u, &aftermath{}); err != nil {
			return err
		}
		if !p.MayRun {
			p.Reason = fmt.Sprintf("the task is %s", t.Status)
			return nil
		}
		return tx.TouchTask(t)
	})
	return p, err
}
