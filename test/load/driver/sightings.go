// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import "sync"

// sightings is who has which task, as all Workers together see it.
type sightings struct {
	mu     sync.Mutex
	holder map[string]string // Worker by task
	double int
}

func newSightings() *sightings { return &sightings{holder: map[string]string{}} }

// given notes that a Worker got a task. Nothing takes a task back during a measurement, so that a second Worker that gets
// it was given it by mistake, also after the first has finished it.
func (s *sightings) given(task, worker string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if holder, ok := s.holder[task]; ok && holder != worker {
		s.double++
	}
	s.holder[task] = worker
}
