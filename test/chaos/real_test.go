// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/fault"
	"flamenco.farm/internal/testkit/history"
)

// realWorkers starts Workers as processes, each behind bad networks of its own to all Managers.
func (s *site) realWorkers() (all []*program) {
	s.t.Helper()
	for i := range realWorkers {
		var managers []string
		for _, address := range s.reach {
			n := s.network(address, fault.Plan{Cut: 80, Silent: 10, Silence: 2 * lease, Bytes: 30 << 10, Delay: 10 * time.Millisecond})
			managers = append(managers, "http://"+n.Address())
		}
		name := fmt.Sprint("worker-", i+1)
		p := newProgram(s.t, name, s.program(), workerArg, filepath.Join(s.dir, name))
		s.write(filepath.Join(p.dir, "flamenco-worker.yaml"), fmt.Sprintf(
			"manager_url: [%s]\nworker_name: %s\ntask_types: [blender, misc]\n", strings.Join(managers, ", "), name))
		p.start()
		all = append(all, p)
	}
	return all
}

// readTally reads what the tasks of real Workers noted.
func readTally(t *testing.T, path string, tasks []history.Task) (runs []history.Run) {
	t.Helper()
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	ids := map[string]string{} // of tasks, by assignment: several jobs have tasks of a name
	for _, task := range tasks {
		for _, a := range task.Attempts {
			ids[a.AssignmentID] = task.ID
		}
	}
	at := map[string]int{} // by assignment
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var name, assignment, what string
		var nanoseconds int64
		if _, err := fmt.Sscan(lines.Text(), &name, &assignment, &what, &nanoseconds); err != nil {
			t.Errorf("line %q: %v", lines.Text(), err)
			continue
		}
		when := time.Unix(0, nanoseconds)
		if what == "begin" {
			at[assignment] = len(runs)
			runs = append(runs, history.Run{Task: ids[assignment], Assignment: assignment, Started: when, Ended: when})
			continue
		}
		i := at[assignment]
		runs[i].Ended, runs[i].Finished = when, true
	}
	return runs
}

// mustPath is the path of an address, without the slash in front.
func mustPath(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}
