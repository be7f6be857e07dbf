// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// budget is how long each of the two runs may send requests.
const budget = 30 * time.Second

// Generated requests, valid and invalid ones, must never meet a 5xx nor an answer that the document does not describe.
// The first run makes up its identifiers; the second has those of things that are there and deletes none of them.
// FLAMENCO_FUZZ_SEED takes another seed than the fixed one.
func TestGeneratedRequestsMeetNoFailureOfTheManager(t *testing.T) {
	t.Parallel()
	w := connect(t, settings(t), &book{})
	anna := w.awake("anna", "misc")
	job := w.echoJob("seed", 3)
	task := w.send("POST", "/worker/task", nil, anna.auth).is(200).string("uuid")
	w.send("POST", "/worker/task/"+task, object{"log": "a line\n"}, anna.auth).is(204)
	tag := w.send("POST", "/worker-mgt/tags", object{"name": "seed"}).is(200).string("id")
	ben := w.register("ben", "misc")

	t.Run("made up identifiers", func(t *testing.T) { schemathesis(t, w.url, anna, "") })
	t.Run("real identifiers", func(t *testing.T) {
		parameters := fmt.Sprintf("[parameters]\n\"path.job_id\" = %q\n\"path.task_id\" = %q\n\"path.worker_id\" = %q\n\"path.tag_id\" = %q\n\"path.typeName\" = %q\n",
			w.echoJob("second seed", 3), task, ben.id, tag, "echo-sleep-test")
		schemathesis(t, w.url, anna, parameters,
			"--exclude-operation-id", "deleteJob", "--exclude-operation-id", "deleteJobMass",
			"--exclude-operation-id", "deleteWorker", "--exclude-operation-id", "deleteWorkerTag")
	})
	w.send("GET", "/jobs/"+job, nil) // it still answers
}

// schemathesis runs the program of that name, which tools/with-python installs.
func schemathesis(t *testing.T, url string, m member, configuration string, more ...string) {
	t.Helper()
	program, err := filepath.Abs("../../bin/python/bin/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("schemathesis is missing; tools/with-python installs it: %v", err)
	}
	seed := os.Getenv("FLAMENCO_FUZZ_SEED")
	if seed == "" {
		seed = "1"
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "schemathesis.toml"), []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), budget+5*time.Minute)
	defer cancel()
	args := append([]string{
		"run", url + "/api/v3/openapi3.json", "--auth", m.id + ":the secret of anna", "--seed", seed,
		"--phases", "examples,coverage,fuzzing", "--max-time", fmt.Sprint(int(budget.Seconds())),
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
		"--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color",
	}, more...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, output)
	}
	if !strings.Contains(string(output), "No issues found") {
		t.Fatalf("schemathesis found no issues, but does not say so:\n%s", output)
	}
	t.Log(tail(string(output), 12))
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
