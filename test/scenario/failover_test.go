// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	vocabulary "flamenco.farm/internal/farm"
	"flamenco.farm/internal/testkit/fault"
	"flamenco.farm/internal/testkit/history"
	"flamenco.farm/pkg/api"
)

const talkingTasks = `
const JOB_TYPE = { label: "Talking tasks", settings: [
  { key: "count", type: "int32", required: true },
  { key: "pause", type: "int32", required: true },
] };
function compileJob(job) {
  for (let i = 1; i <= job.settings.count; i++) {
    const task = author.Task("task-" + i, i % 4 ? "blender" : "misc");
    for (let n = 1; n <= 4; n++) {
      task.addCommand(author.Command("echo", { message: "<" + task.name + " line " + n + ">" }));
      if (n == 2 && i % 5 == 0) task.addCommand(author.Command("sleep", { duration_in_seconds: job.settings.pause }));
    }
    job.addTask(task);
  }
}
`

func TestAFarmThatLosesManagerAfterManagerCountsEveryTaskOnce(t *testing.T) {
	t.Parallel()
	m := newManagers(t, 3, talkingTasks, 6*time.Second, fault.Plan{Seed: 1, Cut: 40, Bytes: 60 << 10, Delay: 2 * time.Millisecond})
	saw := &witness{runs: map[string]history.Run{}}
	for n := range 12 {
		m.worker(fmt.Sprintf("worker-%02d", n+1), n, saw)
	}
	began := time.Now()
	job := m.submit(api.JobSettings{"count": lostManagerTasks, "pause": 1})
	over := make(chan struct{})
	var storm sync.WaitGroup
	blows := 0
	storm.Go(func() { blows = m.storm(over) })
	m.ended(job, patience)
	close(over)
	storm.Wait()
	tasks := m.proof(job, lostManagerTasks, saw)
	for _, task := range tasks {
		if vocabulary.DefaultOnDisconnect(task.Type) == vocabulary.KeepOnDisconnect { // others may have begun anew under the same assignment
			m.once(task, lines(task.Name, 4)...)
		}
	}
	twice := 0
	for key := range m.all[0].updates() {
		if m.all[1].updates()[key]+m.all[2].updates()[key] > 0 {
			twice++
		}
	}
	t.Logf("%d tasks in %s, %d attempts, %d times a Manager was lost, %d updates went to two of them", len(tasks),
		seconds(time.Since(began)), attempts(tasks), blows, twice)
	if blows < 4 {
		t.Error("too little went wrong to prove anything")
	}
}

// storm takes one Manager after the other from the farm, in every way that Managers go, until over is closed. Now and then
// all are gone for a moment.
func (m *managers) storm(over <-chan struct{}) (blows int) {
	dice := rand.New(rand.NewPCG(2, 1)) //nolint:gosec // a test wants the same dice again
	for {
		victims := []*member{m.all[dice.IntN(len(m.all))]}
		if blows%6 == 5 {
			victims = m.all
		}
		kind := dice.IntN(4)
		for _, v := range victims {
			v.strike(kind)
		}
		blows++
		again := time.NewTimer(time.Duration(300+dice.IntN(1200)) * time.Millisecond)
		select {
		case <-again.C:
		case <-over:
		}
		for _, v := range victims {
			v.heal(kind)
		}
		again.Stop()
		select {
		case <-over:
			return blows
		default:
		}
	}
}

func (m *member) strike(kind int) {
	switch kind {
	case 0:
		m.stop()
	case 1:
		m.network.Set(fault.Closed)
	case 2:
		m.network.Set(fault.Silent)
	case 3:
		m.network.Set(fault.Mute)
	}
}

func (m *member) heal(kind int) {
	if kind == 0 {
		m.start()
		return
	}
	m.network.Set(fault.Open)
}

func TestAnUpdateThatOneManagerHasTakenChangesNothingAtAnother(t *testing.T) {
	t.Parallel()
	m := newManagers(t, 2, talkingTasks, time.Minute, fault.Plan{})
	saw := &witness{runs: map[string]history.Run{}}
	m.worker("worker", 0, saw)
	job := m.submit(api.JobSettings{"count": 5, "pause": 4})
	a, b := m.all[0], m.all[1]
	task := func() history.Task { // the one that pauses in its middle
		tasks, err := history.Load(t.Context(), m.store, job)
		if err != nil {
			t.Fatal(err)
		}
		return tasks[4]
	}
	m.until("the task runs", func() bool { return task().Status == vocabulary.TaskActive })
	a.network.Set(fault.Mute)
	had := len(a.updates())
	m.until("an update is taken", func() bool { return len(a.updates()) > had })
	a.network.Set(fault.Closed)
	m.ended(job, patience)
	m.proof(job, 5, saw)
	m.once(task(), lines("task-5", 4)...)
	twice := 0
	for key := range a.updates() {
		if !strings.HasSuffix(key, " ") {
			twice += b.updates()[key]
		}
	}
	if twice == 0 {
		t.Error("no update went to both Managers")
	}
}

// until waits for something that the farm writes down.
func (m *managers) until(what string, done func() bool) {
	m.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); <-tick.C {
		if done() {
			return
		}
	}
	m.t.Fatalf("waited in vain: %s", what)
}
