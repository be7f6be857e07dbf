// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package chaos

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/testkit/fault"
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

// mustPath is the path of an address, without the slash in front.
func mustPath(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}
