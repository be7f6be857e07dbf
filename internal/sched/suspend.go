// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import "flamenco.farm/internal/farm"

// Suspend stops hand-outs and submissions: requests for a task are answered as if there were none. Nothing that runs
// ends: a Worker gets the task it has again when it lost the answer, and reports are taken. reason is for people.
func (s *Service) Suspend(reason string) { s.suspended.Store(&reason) }

// Resume ends what Suspend began, and wakes those who wait for a task.
func (s *Service) Resume() {
	if s.suspended.Swap(nil) != nil {
		s.Bus.Publish([]farm.Change{{Kind: farm.ChangeWork}})
	}
}

// Suspended is the reason why nothing is handed out, "" if it is.
func (s *Service) Suspended() string {
	if reason := s.suspended.Load(); reason != nil {
		return *reason
	}
	return ""
}
