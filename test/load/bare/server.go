// SPDX-License-Identifier: GPL-3.0-or-later

// Package bare owns the ceiling that the Manager is measured against: a server that answers the calls of one task cycle and
// does nothing else. It checks secrets, decodes and encodes the same JSON and writes, in four transactions, what has to be
// written: the hot rows, the history and one row per event. There is no state machine, no check of what is allowed, no log
// file, nobody is woken and nobody is told. It is as fast as we can make it, and no product.
package bare

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
	"flamenco.farm/pkg/api"
)

// engine is a database that does the transactions.
type engine interface {
	auth.Secrets
	register(ctx context.Context, w newWorker) error
	// claim gives the best task to a Worker; farm.ErrNotExist if there is none.
	claim(ctx context.Context, workerID, assignment string) (*task, error)
	// update does one of the three updates of a cycle; farm.ErrNotExist if the Worker does not have the task.
	update(ctx context.Context, u update) error
	mayRun(ctx context.Context, workerID, taskID string) (bool, error)
	Close() error
}

type newWorker struct {
	id, secretHash, name string
	taskTypes            []string
}

// task is what a Worker is given.
type task struct {
	id, job, name, taskType, jobType   string
	priority, jobPriority, done, steps int
	generation                         int64
	commands                           []byte // as they are stored, which is how they are sent
	jobRow, row                        int64
}

type update struct {
	workerID, taskID, assignment string
	body                         api.TaskUpdate
}

// Server answers the calls.
type Server struct {
	db      engine
	workers *auth.Workers
}

// New makes a server on a database of the Manager: postgres://… or the path of an SQLite file. full says whether an answer
// means that a power cut takes nothing back.
func New(ctx context.Context, database string, full bool) (*Server, error) {
	open := openSQLite
	if strings.HasPrefix(database, "postgres") {
		open = openPostgres
	}
	db, err := open(ctx, database, full)
	if err != nil {
		return nil, err
	}
	workers, err := auth.NewWorkers(db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Server{db: db, workers: workers}, nil
}

// Close closes the database.
func (s *Server) Close() error { return s.db.Close() }

// ServeHTTP answers a call.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v3/worker/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if path == "register-worker" {
		s.answer(w, s.register(w, r))
		return
	}
	worker, secret, _ := r.BasicAuth()
	if err := s.workers.Check(r.Context(), worker, secret); err != nil {
		s.answer(w, err)
		return
	}
	switch path {
	case "sign-on":
		w.Header().Set("X-Flamenco-Session", uuid.NewString())
		writeJSON(w, api.WorkerStateChange{StatusRequested: "awake"})
	case "state-changed", "sign-off":
		w.WriteHeader(http.StatusNoContent)
	case "task":
		s.answer(w, s.claim(w, r, worker))
	default:
		id := strings.TrimPrefix(path, "task/")
		if id, ok := strings.CutSuffix(id, "/may-i-run"); ok {
			s.answer(w, s.mayRun(w, r, worker, id))
			return
		}
		s.answer(w, s.update(w, r, worker, id))
	}
}

func (s *Server) answer(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
	case farm.IsNotExist(err):
		w.WriteHeader(http.StatusConflict)
	case farm.CodeOf(err) == farm.CodeForbidden:
		w.WriteHeader(http.StatusForbidden)
	default:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client went away: net/http knows
}

func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	var body api.WorkerRegistration
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return err
	}
	hash, err := auth.HashSecret(body.Secret)
	if err != nil {
		return err
	}
	worker := newWorker{id: uuid.NewString(), secretHash: hash, name: body.Name, taskTypes: body.SupportedTaskTypes}
	if err := s.db.register(r.Context(), worker); err != nil {
		return err
	}
	writeJSON(w, api.RegisteredWorker{UUID: worker.id, Name: worker.name})
	return nil
}

// assignedTask is api.AssignedTask with the commands as they are stored.
type assignedTask struct {
	Commands       json.RawMessage `json:"commands"`
	Job            string          `json:"job"`
	JobPriority    int             `json:"job_priority"`
	JobType        string          `json:"job_type"`
	Name           string          `json:"name"`
	Priority       int             `json:"priority"`
	Status         string          `json:"status"`
	StepsCompleted int             `json:"steps_completed"`
	StepsTotal     int             `json:"steps_total"`
	TaskType       string          `json:"task_type"`
	UUID           string          `json:"uuid"`
}

func (s *Server) claim(w http.ResponseWriter, r *http.Request, worker string) error {
	assignment := uuid.NewString()
	t, err := s.db.claim(r.Context(), worker, assignment)
	if farm.IsNotExist(err) {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	w.Header().Set("X-Flamenco-Assignment", assignment)
	writeJSON(w, assignedTask{
		Commands: t.commands, Job: t.job, JobPriority: t.jobPriority, JobType: t.jobType, Name: t.name, Priority: t.priority,
		Status: "active", StepsCompleted: t.done, StepsTotal: t.steps, TaskType: t.taskType, UUID: t.id,
	})
	return nil
}

func (s *Server) update(w http.ResponseWriter, r *http.Request, worker, task string) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	u := update{workerID: worker, taskID: task, assignment: r.Header.Get("X-Flamenco-Assignment")}
	if err := json.Unmarshal(text, &u.body); err != nil {
		return err
	}
	if err := s.db.update(r.Context(), u); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) mayRun(w http.ResponseWriter, r *http.Request, worker, task string) error {
	may, err := s.db.mayRun(r.Context(), worker, task)
	if err != nil {
		return err
	}
	writeJSON(w, api.MayKeepRunning{MayKeepRunning: may})
	return nil
}
