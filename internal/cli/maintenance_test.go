// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

// closing is a farm of two Managers, of which one takes a few looks until it keeps a change.
type closing struct {
	mu   sync.Mutex
	now  api.Maintenance
	slow int // looks that it takes
}

func (f *closing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPut {
		var change api.MaintenanceChange
		if r.Header.Get("Authorization") != "Bearer s3cret" || json.NewDecoder(r.Body).Decode(&change) != nil {
			answer(w, 403, api.Error{Code: 403, Message: "this takes the admin token"})
			return
		}
		f.now.On, f.now.Reason, f.slow = change.On, change.Reason, 2
		f.now.Epoch++
		f.now.Managers[0].Epoch = f.now.Epoch
	} else if f.slow--; f.slow <= 0 {
		f.now.Managers[1].Epoch = f.now.Epoch
	}
	f.now.Kept = f.now.Managers[1].Epoch == f.now.Epoch
	answer(w, 200, f.now)
}

func TestAMaintenanceIsBegunAwaitedAndEndedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	seen := time.Now().Add(-50 * time.Hour)
	f := &closing{now: api.Maintenance{Kept: true, Managers: []api.ManagerState{
		{ID: "11111111-0000", Name: "anna", Urls: []string{"http://localhost:8080/", "http://anna:8080/"}, Version: "4.0.0", Pid: 7, State: "running", Seen: seen},
		{ID: "22222222-0000", Name: "bert", Urls: []string{}, Version: "4.0.0", Pid: 8, State: "draining", Seen: seen},
		{ID: "33333333-0000", Name: "carl", Urls: []string{}, Version: "3.9.0", Pid: 9, State: "gone", Seen: seen},
	}}}
	web := httptest.NewServer(f)
	t.Cleanup(web.Close)
	token := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(token, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{"FLAMENCO_MANAGER": web.URL}
	run := func(args ...string) *terminal { return runCLI(t.Context(), environment, "", args...) }

	run("maintenance", "status").want(t, ExitOK, "Maintenance  off", "")
	run("maintenance", "on").want(t, ExitUsage, "", "--token-file")
	run("maintenance", "on", "--token-file", token+"x").want(t, ExitUsage, "", "admin token")
	run("maintenance", "on", "--reason", "a new disk", "--token-file", token).want(t, ExitOK, "Not yet at   bert (8)", "")
	run("maintenance", "on", "--reason", "a new disk", "--token-file", token, "--wait").want(t, ExitOK, "Reason       a new disk", "Waiting for bert (8)")
	golden(t, "managers.txt", run("managers").out.String())
	run("managers", "--json").want(t, ExitOK, `"name":"carl"`, "")
	run("maintenance", "status", "--json").want(t, ExitOK, `"type":"maintenance"`, "")
	run("maintenance", "open").want(t, ExitUsage, "", "open")

	environment["FLAMENCO_ADMIN_TOKEN"] = "wrong"
	run("maintenance", "off").want(t, ExitFailure, "", "takes the admin token")
	environment["FLAMENCO_ADMIN_TOKEN"] = "s3cret"
	run("maintenance", "off").want(t, ExitOK, "Maintenance  off", "")
}
