// SPDX-License-Identifier: GPL-3.0-or-later

package config_test

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/variables"
)

var update = flag.Bool("update", false, "write the golden files anew")

// load loads text as a file and returns its folder too.
func load(t *testing.T, text string, env ...string) (config.Config, string, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "farm.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Sources{Path: path, Env: env, ExecutableDir: "/opt/flamenco"}, slog.New(slog.DiscardHandler))
	return cfg, dir, err
}

func TestWithoutAFileTheDefaultsHoldAndItIsTheFirstRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg, err := config.Load(config.Sources{Path: filepath.Join(dir, config.FileName), ExecutableDir: "/opt/flamenco"}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.FirstRun = true
	want.Database = filepath.Join(dir, "flamenco-manager.sqlite")
	want.LocalStorage = "/opt/flamenco/flamenco-manager-storage"
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverySettingOfTheFileCounts(t *testing.T) {
	t.Parallel()
	cfg, dir, err := load(t, `
_meta: {version: 3}
manager_name: Studio
database: data/farm.sqlite
durability: normal
database_check_period: 10m
listen: 127.0.0.1:0
local_manager_storage_path: /var/flamenco
shared_storage_path: shared
registration: closed
task_timeout: 0
worker_timeout: "90s"
timeout_grace: 0s
task_request_hold: 1m
blocklist_threshold: 5
task_fail_after_softfail_count: 4
job_compiler:
  time_limit: 20s
  memory_limit: 1GiB
  max_tasks: 5000
task_logs: {max_size: 16MiB, retention: 720h}
files: s3
s3: {endpoint: "https://s3.example.com:9000", region: eu-north-1, bucket: studio, prefix: farms/one, access_key: KEY, secret_key: hidden}
time_zone: Australia/Lord_Howe
autodiscoverable: false
shaman:
  enabled: false
  garbageCollect: {period: 12h, maxAge: 100h}
mqtt:
  client:
    enabled: true
    broker: tcp://broker:1883
    clientID: studio
    topic_prefix: farm
    username: manager
    password: s3cret
variables:
  jobs: {values: [{platform: all, value: ignored}]}
  ffmpeg:
    is_twoway: true
    values:
    - platform: linux
      value: /usr/bin/ffmpeg
    - platforms: [windows, darwin]
      audience: users
      value: ffmpeg
`)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		ManagerName: "Studio", Database: filepath.Join(dir, "data/farm.sqlite"), Durability: config.DurabilityNormal,
		DatabaseCheckPeriod: 10 * time.Minute,
		Listen:              "127.0.0.1:0", LocalStorage: "/var/flamenco", SharedStorage: filepath.Join(dir, "shared"), Registration: config.RegistrationClosed,
		TaskTimeout: 0, WorkerTimeout: 90 * time.Second, TimeoutGrace: 0, TaskRequestHold: time.Minute,
		BlocklistThreshold: 5, TaskFailAfterSoftFails: 4,
		JobCompiler: config.JobCompiler{TimeLimit: 20 * time.Second, MemoryLimit: 1 << 30, MaxTasks: 5000},
		Shaman:      config.Shaman{Enabled: false, Period: 12 * time.Hour, MaxAge: 100 * time.Hour},
		TaskLogs:    config.TaskLogs{MaxSize: 16 << 20, Retention: 720 * time.Hour},
		TimeZone:    "Australia/Lord_Howe",
		Files:       config.FilesS3,
		S3: config.S3{
			Endpoint: "https://s3.example.com:9000", Region: "eu-north-1", Bucket: "studio", Prefix: "farms/one", AccessKey: "KEY", SecretKey: "hidden",
		},
		MQTT: config.MQTTClient{
			Enabled: true, Broker: "tcp://broker:1883", ClientID: "studio", TopicPrefix: "farm", Username: "manager", Password: "s3cret",
		},
		Variables: map[string]variables.Definition{"ffmpeg": {TwoWay: true, Values: []variables.Value{
			{Platforms: []string{"linux"}, Audience: variables.ForAll, Value: "/usr/bin/ffmpeg"},
			{Platforms: []string{"windows", "darwin"}, Audience: variables.ForUsers, Value: "ffmpeg"},
		}}},
	}
	if diff := cmp.Diff(want, cfg); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if zone, err := cfg.Zone(); err != nil || zone.String() != "Australia/Lord_Howe" {
		t.Errorf("the zone is %v, %v", zone, err)
	}
	if zone, err := config.Default().Zone(); err != nil || zone != time.Local {
		t.Errorf("the zone is %v, %v", zone, err)
	}
}

func TestAnErrorNamesFileLineAndSetting(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"unknown", "manager_name: x\nlisten_: :80\n", "farm.yaml:2: listen_: unknown setting; did you mean listen?"},
		{"a password in an address", "mqtt:\n  client:\n    broker: tcp://me:s3cret@broker\n", "farm.yaml:3: mqtt.client.broker: must not hold a user or a password, which have settings of their own"},
		{"a topic that is many", "mqtt: {client: {topic_prefix: farm/#}}", `farm.yaml:1: mqtt.client.topic_prefix: "farm/#" holds + or #, which stand for other topics`},
		{"unknown in a section", "job_compiler:\n  timelimit: 1s\n", "farm.yaml:2: job_compiler.timelimit: unknown setting; did you mean job_compiler.time_limit?"},
		{"unknown and far", "zebra: 1", "farm.yaml:1: zebra: unknown setting"},
		{"duration", "\n\ntask_timeout: 10", `farm.yaml:3: task_timeout: "10" is not a duration such as 45s, 10m or 1h30m`},
		{"range", "worker_timeout: -5s", "farm.yaml:1: worker_timeout: -5s is not between 1ms and 1000h0m0s"},
		{"number", "blocklist_threshold: many", `farm.yaml:1: blocklist_threshold: "many" is not a whole number`},
		{"number range", "blocklist_threshold: 0", "farm.yaml:1: blocklist_threshold: 0 is not between 1 and 1000000"},
		{"size", "job_compiler: {memory_limit: 5 apples}", `farm.yaml:1: job_compiler.memory_limit: "5 apples" is not a size such as 256MiB`},
		{"choice", "durability: maybe", `farm.yaml:1: durability: "maybe" is none of full, normal`},
		{"address", "listen: localhost", `farm.yaml:1: listen: "localhost" is not an address such as :8080`},
		{"time zone", "time_zone: Mars/Olympus", `farm.yaml:1: time_zone: "Mars/Olympus" is not a time zone such as Europe/Amsterdam or UTC`},
		{"time zone that leads out", "time_zone: ../../etc/passwd", "farm.yaml:1: time_zone:"},
		{"list for a scalar", "listen:\n- :8080", "farm.yaml:2: listen: must be a single value"},
		{"scalar for a section", "job_compiler: 3", "farm.yaml:1: job_compiler: must be a mapping"},
		{"twice", "listen: :1\nlisten: :2", "farm.yaml:2: listen: is given twice, first on line 1"},
		{"version", "_meta:\n  version: 4", `farm.yaml:2: _meta.version: "4" is not a version`},
		{"a database server of another kind", "database: mysql://root:geheim@localhost/farm", "farm.yaml:1: database: is not an address such as postgres://"},
		{"a server without a database", "database: postgres://root:geheim@localhost", "farm.yaml:1: database: is not an address such as postgres://"},
		{"no YAML", "listen: [", "farm.yaml: line 1"},
		{"no mapping", "- a\n- b", "farm.yaml:1: must be a mapping of settings"},
		{"variable audience", "variables:\n  a:\n    values:\n    - {platform: all, audience: cats, value: x}", `farm.yaml:4: variables.a.values[0].audience: "cats" is none of all, workers, users`},
		{"variable platform", "variables:\n  a:\n    values:\n    - value: x", "farm.yaml:4: variables.a.values[0].platform: is missing"},
		{"variable key", "variables:\n  a:\n    value: x", "farm.yaml:3: variables.a.value: unknown key"},
		{"variable two-way", "variables:\n  a: {is_twoway: perhaps}", "farm.yaml:2: variables.a.is_twoway: must be true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := load(t, c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAllErrorsAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := load(t, "listen: x\nzebra: 1\ntask_timeout: y\n")
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	t.Parallel()
	cfg, _, err := load(t, "listen: :1\nshared_storage_path: /a", "FLAMENCO_MANAGER_LISTEN=:2", "FLAMENCO_MANAGER_JOB_COMPILER__MAX_TASKS=7",
		"FLAMENCO_MANAGER_PORT_8080_TCP=from a container platform", "FLAMENCO_MANAGER=http://elsewhere", "LISTEN=:3")
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Listen != ":2" || cfg.JobCompiler.MaxTasks != 7 || cfg.FirstRun {
		t.Errorf("got %+v", cfg)
	}
	_, _, err = load(t, "", "FLAMENCO_MANAGER_TASK_TIMEOUT=soon")
	if err == nil || !strings.Contains(err.Error(), "FLAMENCO_MANAGER_TASK_TIMEOUT: task_timeout") {
		t.Errorf("got %v", err)
	}
}

func TestAnEmptyFileIsAFirstRun(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "# nothing\n", "shared_storage_path:\n"} {
		cfg, _, err := load(t, text)
		if err != nil || !cfg.FirstRun || cfg.SharedStorage != "" {
			t.Errorf("%q: %v, %+v", text, err, cfg)
		}
	}
}

func TestTheSampleSaysWhatItDoesAndLoadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	want := config.Default()
	sample, err := config.Sample(want)
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "sample.yaml")
	if *update {
		if err := os.WriteFile(golden, append([]byte("# SPDX-License-Identifier: GPL-3.0-or-later\n"), sample...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), "# SPDX-License-Identifier: GPL-3.0-or-later\n"+string(sample)); diff != "" {
		t.Errorf("(-golden +got), renew with -update:\n%s", diff)
	}

	path := filepath.Join(t.TempDir(), "written.yaml")
	if err := config.WriteSample(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Sources{Path: path, ExecutableDir: "."}, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	want.FirstRun, want.Database, want.LocalStorage = true, filepath.Join(filepath.Dir(path), want.Database), "flamenco-manager-storage"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := config.WriteSample(path, want); err == nil {
		t.Error("an existing file was overwritten")
	}
}
