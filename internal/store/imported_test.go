// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
)

func TestAnImportedJobIsAsItWasAndItsBooksAreRight(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "farm.sqlite")
	db, err := store.Open(t.Context(), store.Options{Database: path, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	do := func(fn func(*store.Tx) error) error { return db.DoAlone(t.Context(), fn) }
	long := time.Now().Add(-1000 * time.Hour).UTC().Truncate(time.Microsecond)
	tag := farm.Tag{ID: uuid.NewString(), Name: "gpu"}
	worker := store.ImportedWorker{SecretHash: "a hash", Worker: farm.Worker{
		ID: uuid.NewString(), Name: "alpha", Platform: "linux", Status: farm.WorkerOffline, TaskTypes: []string{"misc"},
		Tags: []farm.Tag{tag}, Created: long, Updated: long, LastSeen: long, Requested: &farm.StatusRequest{Status: farm.WorkerAsleep, Lazy: true},
	}}
	task := func(name string, status farm.TaskStatus, after ...int) store.ImportedTask {
		return store.ImportedTask{
			NewTask: farm.NewTask{
				ID: uuid.NewString(), Name: name, Type: "misc", Priority: 50, Dependencies: after,
				Commands: []farm.Command{{Name: "echo", Parameters: map[string]any{"message": name}}},
			},
			Status: status, StepsTotal: 1, Created: long, Updated: long,
		}
	}
	done, waiting, failed := task("done", farm.TaskCompleted), task("waiting", farm.TaskQueued, 0), task("failed", farm.TaskSoftFailed)
	done.WorkerID, done.Outcome, done.StepsCompleted, done.Touched = worker.ID, farm.OutcomeCompleted, 1, long
	failed.FailedBy = []store.ImportedFailure{{WorkerID: worker.ID, Created: long}}
	job := store.ImportedJob{
		ID: uuid.NewString(), Name: "walk", Type: "echo", Priority: 70, Status: farm.JobActive, TagID: tag.ID, Created: long, Updated: long,
		JobSpec: farm.JobSpec{Settings: map[string]any{"frames": "1-3"}, Metadata: map[string]string{"a": "b"}, ShamanCheckoutID: "walk"},
		Tasks:   []store.ImportedTask{done, waiting, failed}, Blocklist: []store.ImportedBlock{{WorkerID: worker.ID, TaskType: "misc", Created: long}},
	}
	for what, fn := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return tx.ImportTag(tag, long) },
		func(tx *store.Tx) error { return tx.ImportWorker(worker) },
		func(tx *store.Tx) error { return tx.ImportJob(job, store.ByManager("imported")) },
	} {
		if err := do(fn); err != nil {
			t.Fatalf("step %d: %v", what, err)
		}
	}
	again := do(func(tx *store.Tx) error { return tx.ImportWorker(worker) })
	if farm.CodeOf(again) != farm.CodeConflict {
		t.Errorf("the same worker again: %v", again)
	}
	if known, err := db.HasWorker(t.Context(), worker.ID); err != nil || !known {
		t.Errorf("the worker is known: %v, %v", known, err)
	}
	if known, err := db.HasWorker(t.Context(), uuid.NewString()); err != nil || known {
		t.Errorf("another worker is known: %v, %v", known, err)
	}
	if used, err := db.CheckoutInUse(t.Context(), "walk"); err != nil || !used {
		t.Errorf("the checkout is in use: %v, %v", used, err)
	}
	if _, err := db.WorkerStatusReason(t.Context(), worker.ID); err != nil && !errors.Is(err, farm.ErrNotExist) {
		t.Error(err)
	}
	got, err := db.Job(t.Context(), job.ID)
	if err != nil || got.Status != farm.JobActive || got.Priority != 70 || !got.Created.Equal(long) || got.StepsTotal != 3 || got.StepsCompleted != 1 {
		t.Errorf("the job is %+v, %v", got, err)
	}
	attempts, err := db.Attempts(t.Context(), done.ID)
	if err != nil || len(attempts) != 1 || attempts[0].Outcome != farm.OutcomeCompleted || attempts[0].WorkerID != worker.ID {
		t.Errorf("the attempts are %+v, %v", attempts, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	storetest.CheckInvariants(t, path)
}
