// SPDX-License-Identifier: GPL-3.0-or-later

// Package operation runs what takes long inside the Manager: each operation is a row in the database and, while it runs, a
// child process under named locks, which can be killed at any line without hurting anything. It owns the order of
// starting, cancelling, ending and repeating. It must not know what any kind of operation does: the Manager hands those in.
//
// The Manager's process alone writes the status of an operation. A kind of operation has to be repeatable: whatever a run
// left half done, because it or the Manager was killed, the next run finishes.
package operation

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// ChildArg is the argument with which the Manager's program becomes the process of an operation: see ChildMain.
const ChildArg = "__operation"

const (
	maxParams  = 64 << 10            // bytes of parameters
	maxCrashes = 3                   // processes that may end without a word before the operation fails
	keepFor    = 30 * 24 * time.Hour // how long an operation that ended is remembered, and
	keepMost   = 1000                // how many of them
)

// Kind is something that can be done, again and again if it is interrupted.
type Kind struct {
	Name string
	// Locks are what an operation needs for itself, such as job/<id>; an error says what is wrong with the parameters.
	Locks func(params json.RawMessage) ([]string, error)
	// Run does it, in the process of the operation. It ends soon when ctx does.
	Run func(ctx context.Context, env *Env, params json.RawMessage) error
	// Job is the one job that it changes; nil or "" = any.
	Job func(params json.RawMessage) string
	// Once is for what must not be repeated by itself: an operation that was interrupted has failed.
	Once bool
	// Local is for what needs files of the machine on which it was started: another Manager cannot do it.
	Local bool
	// InMaintenance is for what may be done while the farm is in maintenance: all else waits until that is over.
	InMaintenance bool
}

// Options is what a Service is made of.
type Options struct {
	Store *store.Store
	Bus   *event.Bus // hears what the store commits, in this process and in those of operations
	Log   *slog.Logger
	Kinds []Kind
	// Executable is the program that becomes the process of an operation, "" = the running one.
	Executable string
	// Setup is what the process needs to know of the configuration; it goes through a pipe, so it may hold secrets.
	Setup json.RawMessage
	// Logs is the folder of the logs of operations.
	Logs     *os.Root
	Parallel int           // operations at once, 0 = 4
	Grace    time.Duration // how long a canceled operation may take to end by itself, 0 = 10 s
	// Manager is the id under which this Manager is in the table of Managers, "" = it has no row: then an operation that
	// another process left running is taken for lost at once.
	Manager string
	// Several says that other Managers may use the same database.
	Several bool
	// Enter begins what must not happen during a maintenance of the farm, or is an error of farm.CodeMaintenance; nil = it
	// may always happen.
	Enter func() (leave func(), err error)
}

// Service is the operations of one Manager.
type Service struct {
	Options
	kinds map[string]Kind
	wake  chan struct{} // there may be something to start

	mu      sync.Mutex
	running map[string]*run // by id
}

// New makes a Service; it starts nothing.
func New(opts Options) (*Service, error) {
	if opts.Executable == "" {
		executable, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("operation: finding the program itself: %w", err)
		}
		opts.Executable = executable
	}
	if opts.Parallel == 0 {
		opts.Parallel = 4
	}
	if opts.Grace == 0 {
		opts.Grace = 10 * time.Second
	}
	if opts.Enter == nil {
		opts.Enter = func() (func(), error) { return func() {}, nil }
	}
	s := &Service{Options: opts, kinds: make(map[string]Kind), wake: make(chan struct{}, 1), running: make(map[string]*run)}
	for _, k := range opts.Kinds {
		if _, twice := s.kinds[k.Name]; twice {
			return nil, fmt.Errorf("operation: two kinds are called %q", k.Name)
		}
		s.kinds[k.Name] = k
	}
	return s, nil
}

// Start queues an operation and returns it. While one of the same kind and parameters waits, that is the one returned.
// What may not be done while the farm is in maintenance is an error of farm.CodeMaintenance then.
func (s *Service) Start(ctx context.Context, kind string, params json.RawMessage, who string) (o farm.Operation, err error) {
	k, known := s.kinds[kind]
	if !known {
		return o, farm.Errorf(farm.CodeInvalid, "kind: there is no operation %q", kind)
	}
	if params, err = normal(params); err != nil {
		return o, err
	}
	if _, err := k.Locks(params); err != nil {
		return o, err
	}
	err = s.Store.Do(ctx, func(tx *store.Tx) (err error) {
		if err := k.admit(tx); err != nil {
			return err
		}
		o, err = tx.InsertOperation(kind, params, who, s.only(k))
		return err
	})
	if err == nil {
		s.look()
	}
	return o, err
}

// only is the Manager that alone may run an operation of a kind that is begun here, "" = any.
func (s *Service) only(k Kind) string {
	if s.Several && k.Local {
		return s.Manager
	}
	return ""
}

// admit is an error of farm.CodeMaintenance for what has to wait until the maintenance is over.
func (k Kind) admit(tx *store.Tx) error {
	if k.InMaintenance {
		return nil
	}
	return tx.OutsideMaintenance()
}

// normal is the parameters as they are stored, so that equal ones are equal texts.
func normal(params json.RawMessage) (json.RawMessage, error) {
	if len(params) > maxParams {
		return nil, farm.Errorf(farm.CodeTooLarge, "params: more than %d bytes", maxParams)
	}
	if len(bytes.TrimSpace(params)) == 0 {
		return json.RawMessage("{}"), nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(params, &object); err != nil || object == nil {
		return nil, farm.Errorf(farm.CodeInvalid, "params: not a JSON object")
	}
	return json.Marshal(object) // in the order of names
}

// Get is one operation.
func (s *Service) Get(ctx context.Context, id string) (farm.Operation, error) {
	return s.Store.Operation(ctx, id)
}

// List lists operations, the newest first.
func (s *Service) List(ctx context.Context, l store.OperationList) ([]farm.Operation, string, error) {
	if l.Limit == 0 {
		l.Limit = 100
	}
	return s.Store.Operations(ctx, l)
}

// Cancel ends an operation: one that waits never begins, one that runs is stopped and killed if it does not stop. What it
// has done stays done. One that has ended is an error of farm.CodeConflict.
func (s *Service) Cancel(ctx context.Context, id string) error {
	err := s.Store.Do(ctx, func(tx *store.Tx) error {
		o, err := tx.Operation(id)
		if err != nil {
			return err
		}
		switch {
		case o.Status.Ended():
			return farm.Errorf(farm.CodeConflict, "the operation has ended: it is %s", o.Status)
		case o.Status == farm.OperationQueued:
			o.Status, o.Ended, o.Activity = farm.OperationCanceled, tx.Now(), "canceled before it began"
		case !o.CancelRequested.IsZero():
			return nil
		}
		o.CancelRequested = tx.Now()
		return tx.SaveOperation(o)
	})
	if err != nil {
		return err
	}
	s.stop(id)
	return nil
}

// stop ends the process of an operation that was canceled, if this Manager runs it.
func (s *Service) stop(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.running[id]; r != nil {
		r.stop(errCanceled)
	}
}

// Wait returns the operation once it has ended.
func (s *Service) Wait(ctx context.Context, id string) (farm.Operation, error) {
	return s.await(ctx, id, func(o farm.Operation) bool { return o.Status.Ended() })
}

// WaitChange returns the operation once it is at another revision than the one named.
func (s *Service) WaitChange(ctx context.Context, id string, revision int64) (farm.Operation, error) {
	return s.await(ctx, id, func(o farm.Operation) bool { return o.Revision != revision })
}

func (s *Service) await(ctx context.Context, id string, ready func(farm.Operation) bool) (farm.Operation, error) {
	sub := s.Bus.Subscribe(func(c farm.Change) bool { return c.Kind == farm.ChangeOperation && c.OperationID == id })
	defer sub.Close()
	for {
		o, err := s.Store.Operation(ctx, id)
		if err != nil || ready(o) {
			return o, err
		}
		select {
		case <-sub.C:
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
}

// look makes Run look for something to start.
func (s *Service) look() {
	select {
	case s.wake <- struct{}{}:
	default: // it has not looked yet
	}
}
