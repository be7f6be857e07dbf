// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func FuzzLoadConfig(f *testing.F) {
	for _, text := range []string{
		"", "# nothing", "worker_name: w\nmanager_url: [a, b]\ntask_types: [misc]\nrestart_exit_code: 47\noom_score_adjust: 500\n", "manager_url: &a [*a]",
		"a: &a {b: *a}", "task_types: {x: y}", "? [a]\n: b", "zebra: 1\n1: 2\n", "worker_name: [", "<<: {worker_name: x}", "--- 1\n--- 2", "\xff", "oom_score_adjust: 1e3",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), ConfigFile)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		config, unknown, err := LoadConfig(path)
		if err != nil {
			return
		}
		if o := config.OOMScoreAdjust; config.RestartExitCode < 0 || config.RestartExitCode > 255 || (o != nil && (*o < 0 || *o > 1000)) {
			t.Errorf("%q was taken as %+v", text, config)
		}
		if slices.Contains(unknown, "worker_name") {
			t.Errorf("%q: a known key is unknown", text)
		}
	})
}
