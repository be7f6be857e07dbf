// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/internal/store"
)

// beforeErasing fails for a checkout that cannot be erased.
func beforeErasing(id string) error {
	if id == "stuck" {
		return errors.New("somebody sits on it")
	}
	return nil
}

// api is a Manager's API as these tests use it.
type api struct {
	t      *testing.T
	client *http.Client
	url    string
	cfg    config.Config
}

func startAPI(t *testing.T, cfg config.Config) (a *api, stop func()) {
	t.Helper()
	url, stopManager := start(t, cfg)
	a = &api{t: t, client: newClient(t), url: url + "/api/v3", cfg: cfg}
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			if err := stopManager(); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(stop)
	return a, stop
}

func (a *api) call(want int, method, path, body string) string {
	a.t.Helper()
	status, text := call(a.t, a.client, method, a.url+path, body)
	if status != want {
		a.t.Fatalf("%s %s: %d %s", method, path, status, text)
	}
	return text
}

// job submits a job that was made from a checkout; "" = from none.
func (a *api) job(checkout string) string {
	a.t.Helper()
	text := a.call(200, "POST", "/jobs", fmt.Sprintf(`{"name":"x","type":"echo-sleep-test","submitter_platform":"linux",
		"settings":{"message":"x"},"storage":{"shaman_checkout_id":%q}}`, checkout))
	var job struct{ ID string }
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		a.t.Fatal(err)
	}
	writeLog(a.t, a.cfg.LocalStorage, job.ID)
	return job.ID
}

type operationView struct {
	ID, Kind, Status, Activity, Who string
	Params                          map[string]any
	Done, Total                     int
}

// operations waits until n operations have ended and returns them, the newest first.
func (a *api) operations(n int) []operationView {
	a.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		var list struct{ Operations []operationView }
		if err := json.Unmarshal([]byte(a.call(200, "GET", "/operations?status_in=completed,failed,canceled", "")), &list); err != nil {
			a.t.Fatal(err)
		}
		if len(list.Operations) >= n {
			return list.Operations
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("only %+v have ended; all: %s", list, a.call(200, "GET", "/operations", ""))
		}
		<-time.After(20 * time.Millisecond)
	}
}

// start starts an operation with the admin token.
func (a *api) start(kind, params string) {
	a.t.Helper()
	token, err := os.ReadFile(filepath.Join(a.cfg.LocalStorage, "admin.token"))
	if err != nil {
		a.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), "POST", a.url+"/operations", strings.NewReader(`{"kind":"`+kind+`","params":`+params+`}`))
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	resp, err := a.client.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		a.t.Fatalf("%s %s: %d", kind, params, resp.StatusCode)
	}
}

func (a *api) exists(jobID string) bool {
	a.t.Helper()
	status, _ := call(a.t, a.client, "GET", a.url+"/jobs/"+jobID, "")
	return status == 200
}

// checkout makes a folder that stands for what was uploaded for a job.
func (a *api) checkout(name string) string {
	a.t.Helper()
	if err := os.Mkdir(a.checkoutFolder(name), 0o755); err != nil {
		a.t.Fatal(err)
	}
	return name
}

func (a *api) checkoutFolder(name string) string {
	return filepath.Join(shaman.JobsFolder(a.cfg.SharedStorage), name)
}

func (a *api) hasCheckout(name string) bool {
	_, err := os.Stat(a.checkoutFolder(name))
	return err == nil
}

func TestADeletedJobTakesItsCheckoutAlongUnlessAnotherJobNeedsIt(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	own, shared := a.checkout("own"), a.checkout("shared")
	first, second, third := a.job(own), a.job(shared), a.job(shared)
	a.call(204, "DELETE", "/jobs/"+first, "")
	a.call(204, "DELETE", "/jobs/"+second, "")
	for _, o := range a.operations(2) {
		if o.Status != "completed" || o.Kind != "job-deletion" || o.Done != 2 || o.Total != 2 {
			t.Errorf("%+v", o)
		}
	}
	if a.exists(first) || a.exists(second) || !a.exists(third) || a.hasCheckout(own) || !a.hasCheckout(shared) {
		t.Errorf("jobs %v %v %v, checkouts %v %v", a.exists(first), a.exists(second), a.exists(third), a.hasCheckout(own), a.hasCheckout(shared))
	}
	wantFolders(t, a.cfg, 1)
	a.call(204, "DELETE", "/jobs/"+third, "")
	a.operations(3)
	if a.hasCheckout(shared) {
		t.Error("the checkout is left")
	}
	wantFolders(t, a.cfg, 0)
}

func TestAJobThatCannotBeDeletedSaysWhyAndKeepsNoOtherFromIt(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	stuck := a.job(a.checkout("stuck"))
	var others []string
	for range 3 {
		others = append(others, a.job(""))
	}
	a.call(204, "DELETE", "/jobs/mass-delete", `{"last_updated_max":"2999-01-01T00:00:00Z"}`)
	o := a.operations(1)[0]
	if o.Status != "failed" || !strings.Contains(o.Activity, "somebody sits on it") || !strings.Contains(o.Activity, "1 of 4") {
		t.Errorf("%+v", o)
	}
	for _, id := range others {
		if a.exists(id) {
			t.Error("another job is left")
		}
	}
	if !a.exists(stuck) {
		t.Error("the job that leads to the checkout is gone")
	}
}

func TestOldJobsThatEndedAreDeletedAndOthersStay(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	a, stop := startAPI(t, cfg)
	ended, waiting := a.job(""), a.job("")
	a.call(204, "POST", "/jobs/"+ended+"/setstatus", `{"status":"cancel-requested","reason":"test"}`)
	a.start("retention", `{"older_than":"1000h"}`)
	a.operations(1)
	if !a.exists(ended) {
		t.Fatal("a job that is not old was deleted")
	}
	stop()

	cfg.Retention.Jobs = time.Nanosecond
	a, stop = startAPI(t, cfg)
	o := a.operations(2)[0]
	if o.Kind != "retention" || o.Who != "manager" || o.Status != "completed" {
		t.Errorf("%+v", o)
	}
	if a.exists(ended) || !a.exists(waiting) {
		t.Errorf("ended %v, waiting %v", a.exists(ended), a.exists(waiting))
	}
	stop()

	// What is marked, and nobody deletes, is taken up again by the next start.
	cfg.Retention.Jobs = 0
	db, err := store.Open(t.Context(), store.Options{Database: cfg.Database, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(db.Do(t.Context(), func(tx *store.Tx) error {
		_, _, err := tx.MarkForDeletion(store.Selection{}, 0, 10)
		return err
	}), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	a, _ = startAPI(t, cfg)
	if o := a.operations(3)[0]; o.Kind != "job-deletion-mass" || o.Status != "completed" {
		t.Errorf("%+v", o)
	}
	if a.exists(waiting) {
		t.Error("the job is left")
	}
}

func TestOperationsRefuseParametersThatMakeNoSense(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	token, err := os.ReadFile(filepath.Join(a.cfg.LocalStorage, "admin.token"))
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		`{"kind":"job-deletion"}`, `{"kind":"job-deletion","params":{"job":"../../etc"}}`, `{"kind":"job-deletion","params":{"jobs":[]}}`,
		`{"kind":"retention"}`, `{"kind":"retention","params":{"older_than":"-1h"}}`, `{"kind":"cleanslate","params":{"x":1}}`,
		`{"kind":"job-deletion-mass","params":{"last_updated_max":"soon"}}`,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", a.url+"/operations", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		resp, err := a.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%s: %d", body, resp.StatusCode)
		}
	}
}

func TestAJobThatNamesNoCheckoutCanBeDeleted(t *testing.T) {
	t.Parallel()
	cfg := configured(t)
	cfg.Shaman.Enabled = false // what is named is taken as it is
	a, stop := startAPI(t, cfg)
	odd := a.job("notes.txt")
	stop()
	cfg.Shaman.Enabled = true
	a, _ = startAPI(t, cfg)
	if err := os.WriteFile(a.checkoutFolder("notes.txt"), nil, 0o600); err != nil { // somebody's file, no checkout
		t.Fatal(err)
	}
	a.call(204, "DELETE", "/jobs/"+odd, "")
	if o := a.operations(1)[0]; o.Status != "completed" || a.exists(odd) {
		t.Errorf("%+v, the job is there: %v", o, a.exists(odd))
	}
	if !a.hasCheckout("notes.txt") {
		t.Error("the file is gone")
	}
}
