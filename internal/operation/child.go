// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/lock"
	"flamenco.farm/internal/store"
)

// Exit codes of the process of an operation; what it did is in its messages.
const (
	exitDone   = 0
	exitUsage  = 2
	exitOrphan = 3 // the Manager is gone
)

// progressEvery is how often progress is told that does not change the activity.
const progressEvery = 100 * time.Millisecond

// Opened is what the kinds of operations work with.
type Opened struct {
	Store *store.Store // opened beside the Manager
	Kinds []Kind
	Close func() error
}

// Child is the process of an operation.
type Child struct {
	In        io.Reader // the order; its end is the end of the Manager
	Out, Errs io.Writer // messages, and the log
	// Open opens the farm as Setup says. onCommit is for the store.
	Open func(ctx context.Context, setup json.RawMessage, log *slog.Logger, onCommit func([]farm.Change)) (Opened, error)
	// AtStep hears of every step between which the process might be killed; nil = nobody wants to know.
	AtStep func(name string)
}

// ChildMain runs the one operation that the order names, and returns the exit code of the process.
func ChildMain(c Child) int {
	in := bufio.NewReader(c.In)
	var o order
	line, err := readLine(in, maxOrder)
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		fmt.Fprintln(c.Errs, "this is started by a Manager, which tells it what to do:", err)
		return exitUsage
	}
	go func() {
		_, _ = io.Copy(io.Discard, in)
		os.Exit(exitOrphan) // what is half done is finished by the next run
	}()
	ctx := context.Background()
	if len(endSignals) > 0 {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, endSignals...)
		defer stop()
	}
	log := slog.New(slog.NewTextHandler(c.Errs, nil)).With("run", o.Run)
	env := &Env{
		Log: log, child: c, holder: lock.Holder{Owner: o.ID, Epoch: o.Run}, locks: o.LockNames,
	}
	log.Info("start", "kind", o.Kind, "params", string(o.Params))
	err = env.run(ctx, o)
	var r result
	if err != nil {
		log.Error("failed", "error", err)
		r.Failure = failure(err)
	} else {
		log.Info("done")
	}
	env.flushProgress()
	env.send(message{Result: &r})
	return exitDone
}

// failure is what people are told of an error.
func failure(err error) string {
	var shown *farm.Error
	switch {
	case errors.As(err, &shown):
		return shown.Message
	case errors.Is(err, context.Canceled):
		return "stopped"
	}
	return "it failed; its log says more"
}

// readLine reads a line of bounded length.
func readLine(in *bufio.Reader, limit int) (line []byte, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if line = append(line, part...); len(line) > limit {
			return nil, fmt.Errorf("a line of more than %d bytes", limit)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

// Env is what a kind of operation meets in its process.
type Env struct {
	Log *slog.Logger

	child  Child
	store  *store.Store
	holder lock.Holder
	locks  []string // that must be held for a write to count

	mu     sync.Mutex
	last   progress
	told   time.Time
	untold bool
}

// run opens the farm and runs the kind. A panic is an error, so that it is told.
func (e *Env) run(ctx context.Context, o order) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = fmt.Errorf("panic: %v\n%s", thrown, debug.Stack())
		}
	}()
	opened, err := e.child.Open(ctx, o.Setup, e.Log, e.committed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	e.store = opened.Store
	for _, k := range opened.Kinds {
		if k.Name == o.Kind {
			return k.Run(ctx, e, o.Params)
		}
	}
	return farm.Errorf(farm.CodeInvalid, "there is no operation %q", o.Kind)
}

// Do runs fn in a transaction that counts only while this run holds its locks; otherwise it fails with lock.ErrLost.
// Keep it short: the Manager waits for it. fn may run more than once.
func (e *Env) Do(ctx context.Context, fn func(*store.Tx) error) error {
	err := e.store.DoAlone(ctx, func(tx *store.Tx) error {
		if err := lock.Check(tx, e.holder, e.locks...); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		e.Step("before a commit")
		return nil
	})
	e.Step("after a transaction")
	return err
}

// ID is the operation.
func (e *Env) ID() string { return e.holder.Owner }

// Holds is lock.ErrLost in a transaction of a run that does not hold its locks any more, for those that are not Do's.
func (e *Env) Holds(tx *store.Tx) error { return lock.Check(tx, e.holder, e.locks...) }

// TryLock takes one more lock, to be freed by Unlock or by the end of the operation. It reports whether it was free.
func (e *Env) TryLock(ctx context.Context, name string) (bool, error) {
	err := e.Do(ctx, func(tx *store.Tx) error { return lock.Acquire(tx, e.holder, name) })
	var held *lock.HeldError
	if errors.As(err, &held) {
		return false, nil
	}
	return err == nil, err
}

// Unlock frees a lock that TryLock took.
func (e *Env) Unlock(ctx context.Context, name string) error {
	return e.Do(ctx, func(tx *store.Tx) error { return lock.Release(tx, e.holder, name) })
}

// Progress tells what the operation does now and how far it is; total 0 = unknown.
func (e *Env) Progress(activity string, done, total int64) {
	e.mu.Lock()
	now := progress{activity, done, total}
	soon := activity == e.last.Activity && time.Since(e.told) < progressEvery
	e.last, e.untold = now, soon
	if !soon {
		e.told = time.Now()
	}
	e.mu.Unlock()
	if !soon {
		e.send(message{Progress: &now})
	}
}

func (e *Env) flushProgress() {
	e.mu.Lock()
	last, untold := e.last, e.untold
	e.mu.Unlock()
	if untold {
		e.send(message{Progress: &last})
	}
}

// Step marks a place between two things that change something.
func (e *Env) Step(name string) {
	if e.child.AtStep != nil {
		e.child.AtStep(name)
	}
}

// committed tells the Manager's process what changed.
func (e *Env) committed(changes []farm.Change) {
	e.Step("after a commit that nobody knows of")
	for len(changes) > 0 {
		n := min(len(changes), maxChanges)
		e.send(message{Changes: changes[:n]})
		changes = changes[n:]
	}
}

func (e *Env) send(m message) {
	line, err := json.Marshal(m)
	if err != nil {
		e.Log.Error("cannot tell the Manager", "error", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.child.Out.Write(append(line, '\n')); err != nil {
		os.Exit(exitOrphan) // nobody listens any more
	}
}
