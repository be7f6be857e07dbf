// SPDX-License-Identifier: GPL-3.0-or-later

package operation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

// TestMain lets the test program be the process of an operation, as flamenco-manager is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == operation.ChildArg {
		os.Exit(operation.ChildMain(operation.Child{In: os.Stdin, Out: os.Stdout, Errs: os.Stderr, Open: openForTest}))
	}
	os.Exit(m.Run())
}

func openForTest(ctx context.Context, setup json.RawMessage, log *slog.Logger, onCommit func([]farm.Change)) (operation.Opened, error) {
	var database string
	if err := json.Unmarshal(setup, &database); err != nil {
		return operation.Opened{}, err
	}
	st, err := store.Open(ctx, store.Options{
		Database: database, Durability: store.DurabilityNormal, BusyTimeout: time.Minute, Log: log, OnCommit: onCommit, Beside: true,
	})
	if err != nil {
		return operation.Opened{}, err
	}
	return operation.Opened{Store: st, Kinds: kinds(), Close: st.Close}, nil
}

// orders are the parameters of all kinds of the tests.
type orders struct {
	Lock   string `json:"lock,omitempty"`
	Folder string `json:"folder,omitempty"`
	Text   string `json:"text,omitempty"`
}

func read(params json.RawMessage) (o orders) {
	_ = json.Unmarshal(params, &o) // checked before
	return o
}

// patience is how long a process of a test waits for what the test should do soon.
const patience = time.Minute

func kinds() []operation.Kind {
	locks := func(params json.RawMessage) ([]string, error) {
		var o orders
		if err := json.Unmarshal(params, &o); err != nil {
			return nil, farm.Errorf(farm.CodeInvalid, "params: %v", err)
		}
		if o.Lock == "" {
			return nil, nil
		}
		return strings.Split(o.Lock, ","), nil
	}
	kind := func(name string, run func(context.Context, *operation.Env, orders) error) operation.Kind {
		return operation.Kind{Name: name, Locks: locks, Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
			return run(ctx, env, read(params))
		}}
	}
	once := kind("crash once", crashAlways)
	once.Once = true
	always := kind("insert always", insert)
	always.InMaintenance = true
	local := kind("insert here", insert)
	local.Local = true
	return []operation.Kind{
		kind("wait", wait), kind("ignore", ignore), kind("crash", crash), kind("crash always", crashAlways), once, always, local,
		kind("gate", gate), kind("fail", fail), kind("insert", insert), kind("talk", talk), kind("nonsense", nonsense), kind("panic", panics),
	}
}

// wait waits until it is stopped.
func wait(ctx context.Context, env *operation.Env, _ orders) error {
	env.Progress("waiting", 1, 2)
	<-ctx.Done()
	return ctx.Err()
}

// ignore does not listen to the signal that asks it to end.
func ignore(_ context.Context, env *operation.Env, _ orders) error {
	signal.Ignore(syscall.SIGTERM)
	env.Progress("ignoring", 0, 0)
	<-time.After(patience)
	return nil
}

// crash is killed in its first run and does its work in the second.
func crash(ctx context.Context, env *operation.Env, o orders) error {
	mark := filepath.Join(o.Folder, "crashed")
	if _, err := os.Stat(mark); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return err
		}
		return crashAlways(ctx, env, o)
	}
	env.Progress("second run", 2, 2)
	return nil
}

func crashAlways(context.Context, *operation.Env, orders) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	if err := self.Kill(); err != nil {
		return err
	}
	<-time.After(patience)
	return errors.New("still alive")
}

// gate stores a worker once the file "open" is there.
func gate(ctx context.Context, env *operation.Env, o orders) error {
	env.Progress("at the gate", 0, 0)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := os.Stat(filepath.Join(o.Folder, "open")); err == nil {
			return insert(ctx, env, o)
		}
		<-time.After(10 * time.Millisecond)
	}
	return errors.New("the gate stayed closed")
}

func insert(ctx context.Context, env *operation.Env, o orders) error {
	return env.Do(ctx, func(tx *store.Tx) error {
		_, err := tx.InsertWorker(farm.Worker{Name: o.Text, Platform: "linux", Status: farm.WorkerOffline}, "hash")
		return err
	})
}

func fail(_ context.Context, _ *operation.Env, o orders) error {
	if o.Text == "" {
		return errors.New("an inner secret")
	}
	return farm.Errorf(farm.CodeStorage, "%s", o.Text)
}

// talk writes a log that is longer than may be kept.
func talk(_ context.Context, env *operation.Env, o orders) error {
	for i := range 30_000 {
		env.Log.Info("a line of the log, which goes on and on", "line", i)
		env.Progress("talking", int64(i), 30_000)
	}
	return nil
}

func nonsense(context.Context, *operation.Env, orders) error {
	fmt.Println("this is no message")
	<-time.After(patience)
	return nil
}

func panics(context.Context, *operation.Env, orders) error { panic("oh no") }

// farmOf is a service on a database of its own.
type farmOf struct {
	*operation.Service
	t     *testing.T
	store *store.Store
	path  string
	bus   *event.Bus
}

func setup(t *testing.T, change ...func(*operation.Options)) *farmOf {
	t.Helper()
	dir := t.TempDir()
	f := &farmOf{t: t, path: filepath.Join(dir, "farm.sqlite"), bus: &event.Bus{}}
	var err error
	f.store, err = store.Open(t.Context(), store.Options{
		Database: f.path, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler), OnCommit: f.bus.Publish,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		storetest.CheckInvariants(t, f.path)
		f.store.Close()
	})
	logs, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logs.Close() })
	setup, err := json.Marshal(f.path)
	if err != nil {
		t.Fatal(err)
	}
	opts := operation.Options{
		Store: f.store, Bus: f.bus, Log: slog.New(slog.DiscardHandler), Kinds: kinds(), Setup: setup, Logs: logs, Grace: 300 * time.Millisecond,
	}
	for _, c := range change {
		c(&opts)
	}
	if f.Service, err = operation.New(opts); err != nil {
		t.Fatal(err)
	}
	return f
}

// run runs the service; stop ends it and waits.
func (f *farmOf) run() (stop func()) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := f.Run(ctx); !errors.Is(err, context.Canceled) {
			f.t.Errorf("Run: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	f.t.Cleanup(stop)
	return stop
}

func (f *farmOf) start(kind string, o orders) string {
	f.t.Helper()
	params, err := json.Marshal(o)
	if err != nil {
		f.t.Fatal(err)
	}
	op, err := f.Start(f.t.Context(), kind, params, "test")
	if err != nil {
		f.t.Fatal(err)
	}
	return op.ID
}

// until waits for an operation to be as wanted.
func (f *farmOf) until(id string, wanted func(farm.Operation) bool) farm.Operation {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	for revision := int64(-1); ; {
		op, err := f.WaitChange(ctx, id, revision)
		if err != nil {
			f.t.Fatalf("%+v: %v", op, err)
		}
		if wanted(op) {
			return op
		}
		revision = op.Revision
	}
}

func (f *farmOf) ended(id string, status farm.OperationStatus) farm.Operation {
	f.t.Helper()
	op := f.until(id, func(o farm.Operation) bool { return o.Status.Ended() })
	if op.Status != status {
		text, _ := f.ReadLog(f.t.Context(), op)
		f.t.Fatalf("%+v, want it %s; log:\n%s", op, status, text)
	}
	return op
}

func says(activity string) func(farm.Operation) bool {
	return func(o farm.Operation) bool { return o.Status == farm.OperationRunning && o.Activity == activity }
}

func (f *farmOf) noLocks() {
	f.t.Helper()
	if n, err := f.store.CountLocks(f.t.Context()); err != nil || n != 0 {
		f.t.Errorf("%d locks are left, %v", n, err)
	}
}
