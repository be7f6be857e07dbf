// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

func TestAWrittenTaskIsWhatItsTypeIsAsJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 4, 5, 6, 0, time.FixedZone("far away", 5*3600))
	tasks := []farm.Task{{}, {
		ID: "id", IndexInJob: 1, Name: "name", Priority: -2, Status: farm.TaskActive, StepsCompleted: 3, StepsTotal: 4, Type: "misc", Updated: at,
		Worker: &farm.TaskWorker{ID: "worker", Name: "its name", Address: "fe80::1%eth0"},
	}}
	for c := range rune(0x100) {
		tasks = append(tasks, farm.Task{Name: string(c), Updated: at.Add(time.Duration(c) * time.Microsecond)})
	}
	for _, name := range []string{"<b>&\"\\/'", "\u2028\u2029", "\xff\xc3", "日本語 🎬", "\x7f"} {
		tasks = append(tasks, farm.Task{Name: name, Type: name, Worker: &farm.TaskWorker{ID: name, Name: name, Address: name}})
	}
	for _, task := range tasks {
		var got bytes.Buffer
		if err := writeTaskSummary(&got, task); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(apiTaskSummary(task))
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s\nis written as %s", want, got.String())
		}
	}
}
