// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/blob/s3"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/internal/store"
)

// OperationArg is the argument with which flamenco-manager becomes the process of an operation: see OperationMain.
const OperationArg = operation.ChildArg

// The kinds of operations. What one of them is called is part of the API.
const (
	kindJobDeletion  = "job-deletion"
	kindMassDeletion = "job-deletion-mass"
	kindRetention    = "retention"
	kindCleanSlate   = "cleanslate"
)

// deletionLock keeps those apart that look for jobs to delete.
const deletionLock = "job-deletion"

func jobLock(id string) string { return "job/" + id }

type jobParams struct {
	Job string `json:"job"`
}

type massParams struct {
	LastUpdatedMax *time.Time `json:"last_updated_max,omitempty"`
}

type retentionParams struct {
	OlderThan string `json:"older_than"`
}

// operationKinds are the operations of a Manager. Their process hands in what they work with; the Manager itself only asks
// for their names and locks.
func operationKinds(d *deleter, uploads *shaman.Store, maxAge time.Duration, command string) []operation.Kind {
	return []operation.Kind{
		collectKind(uploads, maxAge),
		vacuumKind(d.store),
		importKind(d.store, d.files),
		importFarmKind(d.store, d.files, command),
		{
			Name: kindJobDeletion,
			Job:  func(params json.RawMessage) string { p, _ := readJobParams(params); return p.Job },
			Locks: func(params json.RawMessage) ([]string, error) {
				p, err := readJobParams(params)
				return []string{jobLock(p.Job)}, err
			},
			Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
				p, err := readJobParams(params)
				if err != nil {
					return err
				}
				return d.deleteJob(ctx, env, p.Job, func(done, total int) {
					env.Progress("Deleting tasks", int64(done), int64(total))
				})
			},
		},
		{
			Name:  kindMassDeletion,
			Locks: locks[massParams](deletionLock),
			Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
				p, err := readParams[massParams](params)
				if err == nil && p.LastUpdatedMax != nil {
					err = d.mark(ctx, env, store.Selection{UpdatedMax: *p.LastUpdatedMax})
				}
				if err != nil {
					return err
				}
				return d.deleteMarked(ctx, env)
			},
		},
		{
			Name: kindRetention,
			Locks: func(params json.RawMessage) ([]string, error) {
				_, err := readAge(params)
				return []string{deletionLock}, err
			},
			Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
				age, err := readAge(params)
				if err == nil {
					err = d.mark(ctx, env, store.Selection{UpdatedMax: time.Now().Add(-age), Ended: true})
				}
				if err != nil {
					return err
				}
				return d.deleteMarked(ctx, env)
			},
		},
		{
			Name:  kindCleanSlate,
			Locks: locks[struct{}](deletionLock),
			Run: func(ctx context.Context, env *operation.Env, _ json.RawMessage) error {
				if err := d.mark(ctx, env, store.Selection{}); err != nil {
					return err
				}
				if err := d.deleteMarked(ctx, env); err != nil {
					return err
				}
				return d.deleteOrphans(ctx, env)
			},
		},
	}
}

// locks are those of a kind that always takes the same ones, whatever its parameters, which are of the type P.
func locks[P any](names ...string) func(json.RawMessage) ([]string, error) {
	return func(params json.RawMessage) ([]string, error) {
		_, err := readParams[P](params)
		return names, err
	}
}

// readParams reads parameters and refuses those that the kind does not know.
func readParams[P any](params json.RawMessage) (p P, err error) {
	d := json.NewDecoder(bytes.NewReader(params))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, farm.Errorf(farm.CodeInvalid, "params: %v", err)
	}
	return p, nil
}

func readJobParams(params json.RawMessage) (jobParams, error) {
	p, err := readParams[jobParams](params)
	if err == nil && (len(p.Job) != 36 || uuid.Validate(p.Job) != nil) {
		err = farm.Errorf(farm.CodeInvalid, "params.job: %q is not a valid ID", p.Job)
	}
	return p, err
}

func readAge(params json.RawMessage) (time.Duration, error) {
	p, err := readParams[retentionParams](params)
	if err != nil {
		return 0, err
	}
	age, err := time.ParseDuration(p.OlderThan)
	if err != nil || age <= 0 {
		return 0, farm.Errorf(farm.CodeInvalid, "params.older_than: %q is not a duration such as 720h", p.OlderThan)
	}
	return age, nil
}

// operationSetup is what the process of an operation is told of the configuration.
type operationSetup struct {
	Database     string
	Durability   string
	LocalStorage string
	Uploads      uploadSetup
	Bucket       *s3.Options `json:",omitempty"` // where files are kept, nil = in the storages
	Command      string      // what the process of a command is called among the Managers, "" = a Manager starts it
}

// newOperations makes the operations of a Manager, or of the process of a command, whose id is command then.
// closeLogs frees the folder of their logs.
func newOperations(cfg config.Config, executable string, db *store.Store, bus *event.Bus, keeper *maintenance.Keeper,
	command string, log *slog.Logger,
) (s *operation.Service, closeLogs func() error, err error) {
	folder := filepath.Join(cfg.LocalStorage, "operations")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return nil, nil, fmt.Errorf("making the folder of the logs of operations: %w", err)
	}
	logs, err := os.OpenRoot(folder)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the folder of the logs of operations: %w", err)
	}
	setup, err := json.Marshal(operationSetup{
		Database: cfg.Database, Durability: string(cfg.Durability), LocalStorage: cfg.LocalStorage, Uploads: uploadsOf(cfg), Bucket: bucketOf(cfg),
		Command: command,
	})
	if err == nil {
		s, err = operation.New(operation.Options{
			Store: db, Bus: bus, Log: log, Kinds: operationKinds(&deleter{}, nil, 0, command), Executable: executable, Setup: setup, Logs: logs,
			Enter: keeper.Enter, Manager: keeper.ID(), Several: store.IsPostgres(cfg.Database),
		})
	}
	if err != nil {
		return nil, nil, errors.Join(err, logs.Close())
	}
	return s, logs.Close, nil
}

// startOperation starts an operation for a part of the Manager.
func startOperation(ctx context.Context, s *operation.Service, kind string, params any, who string) (o farm.Operation, err error) {
	text, err := json.Marshal(params)
	if err == nil {
		o, err = s.Start(ctx, kind, text, who)
	}
	return o, err
}

// OperationMain is the process of an operation. It talks to the Manager that started it over in and out, and returns the
// exit code. atStep hears of every step between which it might be killed; nil outside of tests.
func OperationMain(in io.Reader, out, errs io.Writer, atStep func(name string)) int {
	return operationMain(in, out, errs, atStep, nil)
}

func operationMain(in io.Reader, out, errs io.Writer, atStep func(name string), change func(*deleter)) int {
	open := func(ctx context.Context, setup json.RawMessage, log *slog.Logger, onCommit func([]farm.Change)) (operation.Opened, error) {
		return openForOperation(ctx, setup, log, onCommit, change)
	}
	return operation.ChildMain(operation.Child{In: in, Out: out, Errs: errs, Open: open, AtStep: atStep})
}

// openForOperation opens what operations work with, beside the Manager.
func openForOperation(ctx context.Context, setup json.RawMessage, log *slog.Logger, onCommit func([]farm.Change),
	change func(*deleter),
) (operation.Opened, error) {
	var s operationSetup
	if err := json.Unmarshal(setup, &s); err != nil {
		return operation.Opened{}, fmt.Errorf("reading the setup: %w", err)
	}
	files, err := os.OpenRoot(s.LocalStorage)
	if err != nil {
		return operation.Opened{}, fmt.Errorf("opening the local storage: %w", err)
	}
	// The Manager writes at the same time and goes first: it has people and Workers waiting.
	db, err := store.Open(ctx, store.Options{
		Database: s.Database, Durability: store.Durability(s.Durability), BusyTimeout: time.Minute, Log: log, OnCommit: onCommit, Beside: true,
	})
	if err != nil {
		return operation.Opened{}, errors.Join(err, files.Close())
	}
	d := &deleter{store: db, files: files}
	var bucket *s3.Store
	if s.Bucket != nil {
		bucket = s3.New(*s.Bucket)
		d.blobs = bucket
	}
	uploads, err := s.Uploads.open(log, d.blobs, 0, nil)
	if err != nil {
		return operation.Opened{}, errors.Join(err, db.Close(), files.Close(), closeBucket(bucket))
	}
	if uploads != nil {
		d.eraseCheckout = func(_ context.Context, id string) error { return eraseCheckout(uploads, id, log) }
	}
	if change != nil {
		change(d)
	}
	return operation.Opened{
		Store: db, Kinds: operationKinds(d, uploads, s.Uploads.MaxAge, s.Command),
		Close: func() error { return errors.Join(db.Close(), files.Close(), closeBucket(bucket)) },
	}, nil
}
