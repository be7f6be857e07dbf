// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager"
)

func configurationExchanges(t *testing.T, b *book) {
	cfg := settings(t)
	w := connect(t, cfg, b)
	w.send("GET", "/version", nil).is(200).has("name", "Old Farm").string("version")
	w.send("GET", "/version", nil, header("User-Agent", "Flamenco/3.8.2 (Blender add-on)")).is(200).has("shortversion", "3.8.2")
	w.send("GET", "/configuration", nil).is(200).has("storageLocation", filepath.ToSlash(cfg.SharedStorage)).has("isFirstRun", false)
	w.send("GET", "/configuration/variables/workers/linux", nil).is(200).has("blender.is_twoway", false).has("blenderArgs.value", "-b -y")
	w.send("GET", "/configuration/shared-storage/users/linux", nil).is(200).has("audience", "users").has("platform", "linux")
	w.eventually("the farm without Workers says so", func() bool { return w.send("GET", "/status", nil).is(200).string("status") == "inoperative" })
	for _, unknown := range []string{"/nonsense", "/jobs/types/nonsense/more"} {
		if r := w.send("GET", unknown, nil); r.status != 404 || string(r.text) != `{"message":"Not Found"}`+"\n" {
			t.Errorf("%s: %d %s", unknown, r.status, r.text)
		}
	}
	if r := w.send("PATCH", "/version", nil); r.status != 404 || string(r.text) != `{"message":"method not allowed"}`+"\n" {
		t.Errorf("a wrong method: %d %s", r.status, r.text)
	}

	w.send("POST", "/configuration/check/shared-storage", object{"path": cfg.SharedStorage}).is(200).has("is_usable", true)
	for _, bad := range []string{"", filepath.Join(cfg.SharedStorage, "nothing"), `\\server\share`, cfg.Database} {
		w.send("POST", "/configuration/check/shared-storage", object{"path": bad}).is(200).has("is_usable", false).string("cause")
	}
	w.send("POST", "/configuration/check/shared-storage", object{}).is(400)

	fileExchanges(t, b)
	setupExchanges(t, b)
}

// fromFile is a Manager with a configuration file of the given text.
func fromFile(t *testing.T, text string, b *book) (w *wire, path string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "flamenco-manager.yaml")
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	live, err := config.Open(config.Sources{
		Path: path, ExecutableDir: dir, Env: []string{"FLAMENCO_MANAGER_LISTEN=127.0.0.1:0", "FLAMENCO_MANAGER_AUTODISCOVERABLE=false"},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return connectTo(t, manager.Options{Live: live}, b), path
}

func fileExchanges(t *testing.T, b *book) {
	t.Helper()
	w, path := fromFile(t, "_meta: {version: 3}\nmanager_name: Old Farm\nshared_storage_path: shared\nmqtt: {client: {enabled: false, password: not-to-be-shown}}\n", b)
	file := w.send("GET", "/configuration/file", nil).is(200).has("manager_name", "Old Farm").has("_meta.version", 3).has("blocklist_threshold", 3)
	if contains(file.text, "not-to-be-shown") {
		t.Errorf("a password is shown: %s", file.text)
	}
	var all object
	if err := json.Unmarshal(file.text, &all); err != nil {
		t.Fatal(err)
	}
	all["manager_name"] = "New Farm"
	w.send("PUT", "/configuration/file", all).is(204)
	w.send("GET", "/version", nil).is(200).has("name", "New Farm")
	if text, err := os.ReadFile(path); err != nil || !contains(text, "New Farm") || !contains(text, "not-to-be-shown") {
		t.Errorf("the file is now %s, %v", text, err)
	}
	all["blocklist_threshold"] = "many"
	w.send("PUT", "/configuration/file", all).is(400)
	w.send("PUT", "/configuration/file", "{").is(400)
	w.send("POST", "/configuration/check/blender", object{"path": "/bin/false"}).is(403) // it starts no programs for strangers
}

func setupExchanges(t *testing.T, b *book) {
	t.Helper()
	w, path := fromFile(t, "", b)
	w.send("GET", "/configuration", nil).is(200).has("isFirstRun", true).has("shamanEnabled", false)
	w.send("GET", "/configuration/check/blender", nil).is(200)
	w.send("POST", "/configuration/check/blender", object{}).is(400)
	w.send("POST", "/configuration/check/blender", object{"path": "/bin/false"}).is(200).has("is_usable", false)
	blender := w.send("POST", "/configuration/check/blender", object{"path": ""}).is(200).has("is_usable", true)
	w.send("POST", "/configuration/setup-assistant", object{"storageLocation": ""}).is(400)
	storage := t.TempDir()
	w.send("POST", "/configuration/setup-assistant", object{"storageLocation": storage, "blenderExecutable": json.RawMessage(blender.text)}).is(204)
	if text, err := os.ReadFile(path); err != nil || !contains(text, storage) {
		t.Errorf("the file is now %s, %v", text, err)
	}
}

// get reads what is not below /api/v3, and must be there.
func (w *wire) get(path string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d, %v: %s", path, resp.StatusCode, err, text)
	}
	return text
}

// written is what a Manager of Flamenco 3 writes, with what people add to it.
const written = `# Configuration file for Flamenco.
_meta:
  version: 3
manager_name: Old Farm
database: flamenco-manager.sqlite
database_check_period: 10m0s
listen: :8080
autodiscoverable: true
local_manager_storage_path: ./flamenco-manager-storage
shared_storage_path: shared
shaman:
  enabled: true
  garbageCollect: {period: 24h0m0s, maxAge: 744h0m0s}
task_timeout: 10m0s
worker_timeout: 1m0s
blocklist_threshold: 3
task_fail_after_softfail_count: 3
mqtt:
  client: {enabled: false, broker: "", clientID: flamenco, topic_prefix: flamenco, username: "", password: ""}
variables:
  blender:
    values:
      - {platform: linux, value: blender}
      - {platform: windows, value: 'C:\Blender\blender.exe'}
      - {platforms: [darwin], audience: workers, value: /Applications/Blender.app}
  blenderArgs:
    values: [{platform: all, value: -b -y}]
  storage:
    is_twoway: true
    values:
      - {platform: linux, value: /mnt/farm}
      - {platform: windows, value: 'F:\'}
`

func TestAConfigurationForTheOldManagerAndItsAddOnIsRead(t *testing.T) {
	t.Parallel()
	w, _ := fromFile(t, written, &book{})
	w.send("GET", "/version", nil).is(200).has("name", "Old Farm")
	w.send("GET", "/configuration", nil).is(200).has("isFirstRun", false)
	w.send("GET", "/configuration/variables/workers/windows", nil).is(200).has("blender.value", `C:\Blender\blender.exe`).has("storage.is_twoway", true)
	w.send("GET", "/configuration/variables/users/darwin", nil).is(200).has("blender", nil).has("blenderArgs.value", "-b -y")
	w.send("GET", "/configuration/file", nil).is(200).has("database_check_period", "10m").has("shaman.garbageCollect.maxAge", "744h").
		has("mqtt.client.clientID", "flamenco").has("listen", ":8080")

	// A path of one platform reaches a Worker on another one in that one's way.
	job := submission("paths", 0)
	job["submitter_platform"], job["settings"].(object)["message"] = "windows", `f:\shots\a.blend` //nolint:forcetypeassert // submission made it
	w.send("POST", "/jobs", job).is(200).has("settings.message", `{storage}\shots\a.blend`)
	anna := w.awake("anna", "misc")
	w.send("POST", "/worker/task", nil, anna.auth).is(200).has("commands.0.parameters.message", "/mnt/farm/shots/a.blend")
}
