// SPDX-License-Identifier: GPL-3.0-or-later

// Package prepare owns databases that are full before a measurement begins: a farm that has been used for years would take
// long to make over the API. It must not know what is measured with them.
package prepare

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// Jobs is a number of equal jobs.
type Jobs struct {
	Jobs     int
	Tasks    int // of each job
	TaskType string
	Priority int
	Done     bool // they are finished; else they wait
	// Blocked are Workers that may not run these tasks.
	Blocked []string
}

// Worker is a Worker that the database knows.
type Worker struct {
	ID, Secret string
	TaskTypes  []string
}

// NewWorker makes up a Worker.
func NewWorker(taskTypes ...string) Worker {
	return Worker{ID: uuid.NewString(), Secret: uuid.NewString(), TaskTypes: taskTypes}
}

// Fill writes Workers and jobs to a database, which it makes if it is missing. It returns the ids of the jobs.
func Fill(ctx context.Context, database string, workers []Worker, all ...Jobs) (ids []string, err error) {
	db, err := store.Open(ctx, store.Options{Database: database, Durability: store.DurabilityNormal, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close(), analyze(ctx, database)) }()
	for _, w := range workers {
		if err := addWorker(ctx, db, w); err != nil {
			return nil, err
		}
	}
	former, err := formerWorker(ctx, db)
	if err != nil {
		return nil, err
	}
	for _, jobs := range all {
		for i := range jobs.Jobs {
			job := jobs.job(i, former)
			err := db.DoAlone(ctx, func(tx *store.Tx) error { return tx.ImportJob(job, store.ByManager("prepared")) })
			if err != nil {
				return nil, fmt.Errorf("preparing jobs: %w", err)
			}
			ids = append(ids, job.ID)
		}
	}
	return ids, nil
}

// analyze lets PostgreSQL look at what it has got, as it does by itself in a farm that is used.
func analyze(ctx context.Context, database string) (err error) {
	if !strings.HasPrefix(database, "postgres") {
		return nil
	}
	db, err := sql.Open("pgx", database)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM ANALYZE")
	return err
}

func addWorker(ctx context.Context, db *store.Store, w Worker) error {
	hash, err := auth.HashSecret(w.Secret)
	if err != nil {
		return err
	}
	return db.Do(ctx, func(tx *store.Tx) error {
		return tx.ImportWorker(store.ImportedWorker{SecretHash: hash, Worker: farm.Worker{
			ID: w.ID, Name: "prepared", Platform: "linux", Status: farm.WorkerOffline, TaskTypes: w.TaskTypes,
		}})
	})
}

// formerWorker is a Worker that ran what is finished.
func formerWorker(ctx context.Context, db *store.Store) (string, error) {
	w := NewWorker("misc")
	return w.ID, addWorker(ctx, db, w)
}

func (p Jobs) job(n int, former string) store.ImportedJob {
	now := time.Now()
	job := store.ImportedJob{
		ID: uuid.NewString(), Name: fmt.Sprintf("prepared %d", n+1), Type: "echo-sleep-test", Priority: p.Priority,
		Status: farm.JobQueued, Created: now, Updated: now, Tasks: make([]store.ImportedTask, p.Tasks),
	}
	task := store.ImportedTask{Status: farm.TaskQueued, StepsTotal: 2, Created: now, Updated: now}
	if p.Done {
		job.Status, task.Status, task.Outcome = farm.JobCompleted, farm.TaskCompleted, farm.OutcomeCompleted
		task.WorkerID, task.StepsCompleted, task.Touched = former, 2, now
	}
	for i := range job.Tasks {
		task.NewTask = farm.NewTask{
			Name: fmt.Sprintf("task-%d", i+1), Type: p.TaskType, Priority: farm.DefaultPriority,
			Commands: []farm.Command{{Name: "echo", Parameters: map[string]any{"message": "flamenco-bench"}, TotalStepCount: 2}},
		}
		job.Tasks[i] = task
	}
	for _, id := range p.Blocked {
		job.Blocklist = append(job.Blocklist, store.ImportedBlock{WorkerID: id, TaskType: p.TaskType, Created: now})
	}
	return job
}
