// SPDX-License-Identifier: GPL-3.0-or-later

// Package worker is the Flamenco Worker: it signs on with a Manager, asks for tasks, runs them one at a time and reports.
// It owns the Worker's identity, its states, its calls and the life of a task on this machine. It works under our Manager
// and under an upstream one. It must not know how a command runs (worker/command, worker/process), how updates are
// kept (worker/outbox), nor anything of the Manager's insides.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/version"
	"flamenco.farm/internal/worker/command"
	"flamenco.farm/internal/worker/outbox"
	"flamenco.farm/internal/worker/preview"
	"flamenco.farm/internal/worker/process"
)

// ErrRestart is what Run answers when the Manager asked for a restart: the program should end with the exit code that
// makes its process manager start it again.
var ErrRestart = errors.New("the Manager asked for a restart")

// errSessionOver means that the Manager no longer takes this session: sign on again.
var errSessionOver = errors.New("the session is over")

const outboxFile = "flamenco-worker.sqlite"

// Options say what a Worker is.
type Options struct {
	Managers        []string // base addresses of the Managers of one farm, tried in this order; at least one
	Home            string   // folder of its own
	Name            string
	TaskTypes       []string // none = the four built-in ones
	RestartExitCode int      // 0 = it cannot restart
	OOMScoreAdjust  *int     // of the commands it runs; nil = untouched
	RegisterOnly    bool     // register as a new Worker although it has an identity, then end
	FlushOnly       bool     // deliver what is left from the last run, then end
	Checks          Checks
	Log             *slog.Logger

	Metrics  string // the address at which metrics are served; "" = nowhere
	Profiles string // the address, of this machine alone, at which profiles are served; "" = nowhere

	// StopGrace is how long the running task may go on when Run's context ends, so that it can end too. 0 = it goes back
	// to the queue at once; so it does when Hurry is closed, which may be nil.
	StopGrace time.Duration
	Hurry     <-chan struct{}
}

// Worker runs tasks. Make it with New.
type Worker struct {
	opts    Options
	log     *slog.Logger
	timing  timing
	client  *client
	box     *outbox.Box
	checker *checker

	pictures *preview.Uploader
	numbered numbering // of the task before

	signedOn bool
	mu       sync.Mutex
	running  *run // nil = none
}

// timing is how long the Worker waits for what; tests are less patient.
type timing struct {
	retry, retryMax   time.Duration // after a call failed
	empty, emptyMax   time.Duration // after a Manager that holds requests said at once that there is no task
	idle, idleMax     time.Duration // after a Manager that does not hold them said so
	poll              time.Duration // while asleep
	mayRun            time.Duration // between two questions whether to go on
	update, updateMax time.Duration // before an update that failed is sent again
	leftovers         time.Duration // for delivering these before sign-on
	flush, signOff    time.Duration // at the end
	grace             time.Duration // for a process that is asked to end, before it is killed
	check, checkMax   time.Duration // before it is looked again whether tasks can be run
}

func defaultTiming() timing {
	return timing{
		retry: time.Second, retryMax: 10 * time.Second,
		empty: 200 * time.Millisecond, emptyMax: 10 * time.Second,
		idle: 5 * time.Second, idleMax: 20 * time.Second,
		poll: 3 * time.Second, mayRun: 10 * time.Second,
		update: 250 * time.Millisecond, updateMax: 10 * time.Second,
		leftovers: 10 * time.Second, flush: 5 * time.Second, signOff: 3 * time.Second,
		grace: 5 * time.Second,
		check: 30 * time.Second, checkMax: 5 * time.Minute,
	}
}

// New makes a Worker. It touches neither disk nor network: Run does.
func New(opts Options) (*Worker, error) {
	if len(opts.Managers) == 0 {
		return nil, errors.New("the Worker needs the address of a Manager")
	}
	managers, err := managerAddresses(opts.Managers)
	if err != nil {
		return nil, err
	}
	if len(opts.TaskTypes) == 0 {
		opts.TaskTypes = defaultTaskTypes()
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	agent := fmt.Sprintf("Flamenco/%s (%s)", version.Version, version.Commit)
	w := &Worker{opts: opts, log: opts.Log, timing: defaultTiming(), client: newClient(managers, agent, opts.Log), checker: newChecker(opts.Checks)}
	w.pictures = preview.New(preview.Options{
		Log: opts.Log, Home: opts.Home, Send: w.sendPicture,
		FFmpeg: func() (string, error) { return command.FindFFmpeg("ffmpeg", "") },
	})
	return w, nil
}

// Run works until the Manager asks for an end (nil) or a restart (ErrRestart), or until ctx ends (its cause). It lets the
// running task end for Options.StopGrace or stops it, delivers what can be delivered and signs off before it returns.
func (w *Worker) Run(ctx context.Context) error {
	defer w.client.close()
	if err := os.MkdirAll(w.opts.Home, 0o700); err != nil {
		return fmt.Errorf("make the Worker's home: %w", err)
	}
	lock, err := lockHome(w.opts.Home)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	creds, err := loadCredentials(w.opts.Home)
	if err != nil {
		return err
	}
	w.client.identify(creds)
	box, setAside, err := outbox.Open(ctx, filepath.Join(w.opts.Home, outboxFile))
	if err != nil {
		return err
	}
	defer func() { _ = box.Close() }()
	w.box = box
	if setAside {
		w.log.Error("the outbox was damaged and has been set aside; updates in it are lost", "home", w.opts.Home)
	}
	defer w.watch(ctx)()
	ended, err := process.EndLeftovers(ctx, w.opts.Home)
	if err != nil {
		return fmt.Errorf("end what the last run left behind: %w", err)
	}
	if ended > 0 {
		w.log.Warn("ended processes that the last run had left behind", "processes", ended)
	}
	w.deliverLeftovers(ctx)
	if w.opts.RegisterOnly {
		return w.register(ctx)
	}
	return w.inSession(ctx)
}

// inSession runs the states with a sender and an uploader of pictures beside them, and ends the session whatever happened.
func (w *Worker) inSession(ctx context.Context) error {
	// Delivery outlives ctx, because the end of a running task has to be reported.
	sending, stopSending := context.WithCancel(context.WithoutCancel(ctx))
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		pause := outbox.Backoff{Min: w.timing.update, Max: w.timing.updateMax}
		_ = w.box.Run(sending, pause, w.deliver, w.refused) // ends with sending only
	}()
	showing, stopShowing := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		w.pictures.Serve(showing)
	}()
	err := w.guarded(ctx)
	stopShowing()
	<-shown
	w.flush(context.WithoutCancel(ctx))
	stopSending()
	<-sent
	w.signOff(context.WithoutCancel(ctx))
	return err
}

// guarded turns a panic into an error, so that the Worker signs off.
func (w *Worker) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the Worker has a defect: %v\n%s", p, debug.Stack())
		}
	}()
	return w.serve(ctx)
}

// serve goes from state to state.
func (w *Worker) serve(ctx context.Context) error {
	state, err := w.signOn(ctx)
	if err != nil {
		return err
	}
	meeting, stop := context.WithCancel(ctx)
	var met sync.WaitGroup
	defer met.Wait()
	defer stop()
	met.Go(func() { w.client.meet(meeting) })
	if w.opts.FlushOnly {
		return w.box.WaitEmpty(ctx)
	}
	again := w.retries()
	for {
		began := time.Now()
		switch state {
		case farm.WorkerAwake:
			state, err = w.work(ctx)
		case farm.WorkerOffline:
			w.log.Info("the Manager asked the Worker to stop")
			return nil
		case farm.WorkerRestart:
			if w.opts.RestartExitCode != 0 {
				return ErrRestart
			}
			w.log.Warn("the Manager asked for a restart, but no restart exit code is set")
			state, err = w.rest(ctx)
		default:
			state, err = w.rest(ctx)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, errSessionOver) {
			return err
		}
		if time.Since(began) > w.timing.retryMax {
			again.Reset()
		}
		w.log.Warn("the Manager ended the session, signing on again")
		if err := again.Wait(ctx); err != nil {
			return err
		}
		if state, err = w.signOn(ctx); err != nil {
			return err
		}
	}
}

func (w *Worker) retries() outbox.Backoff {
	return outbox.Backoff{Min: w.timing.retry, Max: w.timing.retryMax}
}

// flush gives the sender a last chance.
func (w *Worker) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, w.timing.flush)
	defer cancel()
	if err := w.box.WaitEmpty(ctx); err != nil {
		count, _ := w.box.Size()
		w.log.Warn("not all updates could be delivered; the rest is sent at the next start", "updates", count)
	}
}
