// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/maintenance"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/testkit/postgres"
)

// half is one of two Managers on a database: its scheduler and its keeper, which hear only of their own changes.
type half struct {
	*sched.Service
	keeper *maintenance.Keeper
}

func newHalf(t *testing.T, db *store.Store, logs *tasklog.Store, id string) half {
	t.Helper()
	bus, log := &event.Bus{}, slog.New(slog.DiscardHandler)
	h := half{keeper: maintenance.New(maintenance.Options{
		Store: db, Bus: bus, Log: log, Self: farm.ManagerState{ID: id, Name: id, Started: time.Now()},
	})}
	if err := h.keeper.Register(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Service = sched.New(db, sched.Options{
		TaskLog: logs, Bus: bus, Log: log, WorkerTimeout: time.Minute, RequestHold: 0, Enter: h.keeper.Enter, BlocklistThreshold: 3, SoftFailLimit: 3,
	})
	return h
}

// awake registers a Worker that may get tasks.
func awake(t *testing.T, s *sched.Service) sched.Caller {
	t.Helper()
	w, err := s.Register(t.Context(), sched.Registration{Name: "w", Platform: "linux", SecretHash: "x", TaskTypes: []string{"misc"}})
	if err != nil {
		t.Fatal(err)
	}
	on, err := s.SignOn(t.Context(), w.ID, sched.SignOn{Name: "w", Software: "4", TaskTypes: []string{"misc"}})
	if err != nil {
		t.Fatal(err)
	}
	c := sched.Caller{WorkerID: w.ID, Session: on.Session}
	if err := s.StateChanged(t.Context(), c, farm.WorkerAwake, ""); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTwoManagersHandNothingOutOnceOneOfThemBeganAMaintenance(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		db, _ := storetest.SQLite(t, nil)
		oneOfTwoBegins(t, db, db)
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		address := postgres.Start(t).Database(t)
		oneOfTwoBegins(t, storetest.OpenPostgres(t, address, nil), storetest.OpenPostgres(t, address, nil))
	})
}

func oneOfTwoBegins(t *testing.T, db, other *store.Store) {
	t.Helper()
	logs, err := tasklog.New(tasklog.Options{Folder: filepath.Join(t.TempDir(), "logs")})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	a, b := newHalf(t, db, logs, "a"), newHalf(t, other, logs, "b")
	const tasks = 200
	job := farm.NewJob{Name: "j", Type: "test"}
	for i := range tasks {
		job.Tasks = append(job.Tasks, farm.NewTask{Name: fmt.Sprint(i), Type: "misc"})
	}
	if _, err := a.Submit(t.Context(), job); err != nil {
		t.Fatal(err)
	}

	// Workers of both ask as fast as they can, while a maintenance begins at the first Manager. The second one never runs:
	// it is as slow as a Manager can be.
	var group sync.WaitGroup
	ended := make(chan struct{})
	var mu sync.Mutex
	var late []string
	began := false
	for i := range 8 {
		service := []*sched.Service{a.Service, b.Service}[i%2]
		caller := awake(t, service)
		group.Go(func() {
			for {
				select {
				case <-ended:
					return
				default:
				}
				mu.Lock()
				before := began
				mu.Unlock()
				claim, err := service.Claim(t.Context(), sched.ClaimRequest{Caller: caller})
				if err != nil {
					t.Error(err)
					return
				}
				if claim.Assignment == nil {
					continue
				}
				if before {
					mu.Lock()
					late = append(late, claim.Assignment.Task.Name)
					mu.Unlock()
				}
				done := farm.TaskCompleted
				err = service.Update(t.Context(), sched.Update{Caller: caller, TaskID: claim.Assignment.Task.ID, Assignment: claim.Assignment.ID, Sequence: 1, Status: &done})
				if err != nil {
					t.Errorf("a report: %v", err)
					return
				}
			}
		})
	}
	for done := 0; done < tasks/4; {
		j, _, err := db.Jobs(t.Context(), store.JobList{})
		if err != nil {
			t.Fatal(err)
		}
		done = j[0].Tasks.Completed
	}
	if _, err := a.keeper.Switch(t.Context(), true, "a new disk", "user"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	began = true
	mu.Unlock()
	if _, err := b.Submit(t.Context(), job); farm.CodeOf(err) != farm.CodeMaintenance {
		t.Errorf("the other Manager takes a job: %v", err)
	}
	caller := awake(t, b.Service)
	for range 20 {
		if claim, err := b.Claim(t.Context(), sched.ClaimRequest{Caller: caller}); err != nil || claim.Assignment != nil {
			t.Errorf("the other Manager hands out %+v, %v", claim.Assignment, err)
		}
	}
	close(ended)
	group.Wait()
	if len(late) > 0 {
		t.Errorf("handed out after the maintenance had begun: %v", late)
	}
}

func TestAMaintenanceIsBegunAndEndedWithAndWithoutAManagerAndOutlivesIt(t *testing.T) {
	t.Parallel()
	path, cfg := onDisk(t)
	a, stop := startAPI(t, cfg)
	admin := func(want string, args ...string) {
		t.Helper()
		var out bytes.Buffer
		if code := manager.RunAdmin(t.Context(), append(args, "-config", path), &out); code != 0 || !strings.Contains(out.String(), want) {
			t.Errorf("%v: exit code %d, %s", args, code, &out)
		}
	}
	isOn := func(want bool) {
		t.Helper()
		var got struct{ On, Kept bool }
		if err := json.Unmarshal([]byte(a.call(200, "GET", "/maintenance", "")), &got); err != nil || got.On != want || !got.Kept {
			t.Errorf("%+v, %v", got, err)
		}
	}
	isOn(false)
	admin("in maintenance since", "maintenance", "on", "-reason", "a new disk", "-wait")
	isOn(true)
	if text := a.call(503, "POST", "/jobs", `{"name":"x","type":"x","priority":50,"submitter_platform":"linux"}`); !strings.Contains(text, "in maintenance: a new disk") {
		t.Errorf("a job: %s", text)
	}
	admin(": a new disk", "maintenance", "status")
	stop()
	admin(": a new disk", "maintenance", "status")
	admin("gone", "maintenance", "on", "-reason", "another one")

	a, stop = startAPI(t, cfg)
	isOn(true)
	a.waitFor("/status", "in maintenance: another one")
	stop()
	admin("not in maintenance", "maintenance", "off", "-wait")
	a, _ = startAPI(t, cfg)
	isOn(false)
}

func TestEveryManagerThatRanIsListed(t *testing.T) {
	t.Parallel()
	_, cfg := onDisk(t)
	_, stop := startAPI(t, cfg)
	stop()
	a, _ := startAPI(t, cfg)
	var got struct {
		Managers []struct {
			ID, State string
			URLs      []string
			PID       int
		}
	}
	if err := json.Unmarshal([]byte(a.waitFor("/maintenance", `"running"`)), &got); err != nil {
		t.Fatal(err)
	}
	states := map[string]int{}
	for _, m := range got.Managers {
		states[m.State]++
		if m.State == "running" && (m.PID == 0 || len(m.URLs) == 0) {
			t.Errorf("%+v", m)
		}
	}
	if len(got.Managers) != 2 || states["gone"] != 1 || states["running"] != 1 {
		t.Errorf("%+v", got)
	}
}

// waitFor asks again and again until the answer has a text in it.
func (a *api) waitFor(path, text string) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if got := a.call(200, "GET", path, ""); strings.Contains(got, text) {
			return got
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.t.Fatalf("%s does not say %q", path, text)
		}
	}
}
