// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/command"
)

// Why a task ends before its time. Nothing is reported then: the Manager knows, or finds out by the lease.
var (
	errNotAllowed   = errors.New("the Manager wants the task stopped")
	errDisconnected = errors.New("the Manager has not answered for so long that it may give the task to somebody else")
	errStopping     = errors.New("the Worker is shutting down")
)

// assignedTask is the part of a task that a Worker needs.
type assignedTask struct {
	ID       string        `json:"uuid"`
	Job      string        `json:"job"`
	Name     string        `json:"name"`
	TaskType string        `json:"task_type"`
	Commands []command.Raw `json:"commands"`
}

// run is a task in the hands of this Worker.
type run struct {
	task       assignedTask
	assignment string // of our Manager; under an upstream one a name of our own, for the outbox
	session    string
	stopAlone  bool // end the task when the Manager is lost
	cancel     context.CancelCauseFunc
	report     *reporter
}

// stop ends the run; nothing more of it is reported.
func (r *run) stop(cause error) {
	r.report.close()
	r.cancel(cause)
}

// newRun reads the answer to a request for a task.
func (w *Worker) newRun(a answer) (*run, error) {
	r := &run{assignment: a.header.Get(headerAssignment)}
	if err := a.decode(&r.task); err != nil {
		return nil, err
	}
	r.session, _ = w.client.present()
	if r.assignment == "" {
		r.assignment, r.session = "upstream-"+uuid.NewString(), ""
	}
	r.stopAlone = farm.OnDisconnect(a.header.Get(headerOnDisconnect)) == farm.StopOnDisconnect
	return r, nil
}

// perform sees a task through, also when the Worker is told to stop meanwhile: see stopping. An error means that the
// Worker itself has to stop.
func (w *Worker) perform(ctx context.Context, r *run) error {
	log := w.log.With("task", r.task.ID, "assignment", r.assignment)
	log.Info("task started", "name", r.task.Name, "job", r.task.Job)
	began := time.Now()
	running, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	r.cancel = cancel
	settled := w.stopping(ctx, r)
	r.report = newReporter(w.box, log, r, w.numbered)
	defer func() { w.numbered = r.report.numbering() }()
	w.setRunning(r)
	commands, err := decode(r.task)
	if err == nil {
		err = w.beside(running, r, commands)
	}
	w.setRunning(nil)
	settled()
	defer cancel(nil)
	if running.Err() != nil {
		w.pictures.Drop(r.assignment)
	}
	log = log.With("took", time.Since(began).Round(time.Millisecond))

	switch cause := context.Cause(running); {
	case errors.Is(cause, errStopping) && err != nil: // otherwise it was just done
		r.report.line("The Worker is shutting down; the task goes back to the queue.")
		r.report.flush()
		log.Warn("task stopped", "reason", cause)
	case errors.Is(cause, errDisconnected):
		r.report.flush() // still wanted if nobody else has the task by then
		log.Warn("task stopped", "reason", cause)
	case cause != nil && !errors.Is(cause, errStopping): // refused or not allowed
		log.Warn("task stopped", "reason", cause)
		if err := w.box.Drop(r.assignment); err != nil {
			log.Error("cannot drop the updates of a stopped task", "error", err)
		}
	case err != nil:
		r.report.line("Failed: " + err.Error())
		r.report.finished(farm.TaskFailed, "Failed: "+err.Error())
		log.Warn("task failed", "error", err)
	default:
		r.report.finished(farm.TaskCompleted, "Completed")
		log.Info("task completed")
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// stopping ends a task when the Worker is told to stop: at once, or when its grace is over, or when it is told to hurry.
// The function that it returns is called when the task has ended.
func (w *Worker) stopping(ctx context.Context, r *run) (settled func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		if w.opts.StopGrace > 0 {
			w.log.Warn("stopping when the task has ended; stop once more to give it back now", "task", r.task.ID, "limit", w.opts.StopGrace)
			limit := time.NewTimer(w.opts.StopGrace)
			defer limit.Stop()
			select {
			case <-over:
				return
			case <-limit.C:
			case <-w.opts.Hurry:
			}
		}
		r.cancel(errStopping)
	}()
	return func() { close(over); <-done }
}

func (w *Worker) setRunning(r *run) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = r
}

// decode understands all commands of a task before the first one does anything.
func decode(task assignedTask) ([]command.Command, error) {
	commands := make([]command.Command, 0, len(task.Commands))
	for i, raw := range task.Commands {
		c, err := command.Decode(raw)
		if err != nil {
			return nil, fmt.Errorf("command %d of %d, %s: %w", i+1, len(task.Commands), raw.Name, err)
		}
		commands = append(commands, c)
	}
	return commands, nil
}

// beside runs the commands of a task and what accompanies them, and waits for all of it.
func (w *Worker) beside(ctx context.Context, r *run, commands []command.Command) error {
	first := ""
	if len(commands) > 0 {
		first = r.task.Commands[0].Name
	}
	r.report.started(first)
	if err := w.confirm(ctx, r); err != nil {
		return err
	}
	beside, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	all.Go(func() { r.report.run(beside) })
	all.Go(func() { w.askOn(beside, r) })
	if r.stopAlone && r.session != "" {
		all.Go(func() { w.guardLease(beside, r) })
	}
	return w.runCommands(ctx, r, commands)
}

func (w *Worker) runCommands(ctx context.Context, r *run, commands []command.Command) error {
	for i, c := range commands {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := r.task.Commands[i].Name
		if i > 0 {
			r.report.commandBegan(i, name)
		}
		if err := w.runCommand(ctx, r, i, c); err != nil {
			return err
		}
	}
	return nil
}
