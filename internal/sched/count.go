// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"sync/atomic"

	"flamenco.farm/internal/farm"
)

// answer is how a call of a worker ended, for those who count.
type answer int

const (
	answerTask            answer = iota // it got one
	answerNone                          // there was none in time
	answerStatusRequested               // it has to take another status first
	answerAccepted                      // the update was taken
	answerRepeated                      // it had been taken before
	answerLate                          // the status was ignored: the task was canceled, requeued or finished meanwhile
	answerNotAssigned                   // the task is somebody else's
	answerRefused                       // the call makes no sense, now or ever
	answerGone                          // the caller went away, or the Manager stops
	answerFailed                        // something is wrong with the Manager
	answers                             // how many there are
)

// counters counts since the start.
type counters struct {
	held            atomic.Int64
	claims, updates [answers]atomic.Int64
}

// The names of answers are labels of metrics.
var (
	claimAnswers = map[answer]string{
		answerTask: "task", answerNone: "none", answerStatusRequested: "status-requested", answerRefused: "refused",
		answerGone: "gone", answerFailed: "failed",
	}
	updateAnswers = map[answer]string{
		answerAccepted: "accepted", answerRepeated: "repeated", answerLate: "late", answerNotAssigned: "not-assigned",
		answerRefused: "refused", answerGone: "gone", answerFailed: "failed",
	}
)

// Stats is what workers asked and were answered since the start.
type Stats struct {
	Held    int64            // requests for a task that wait for one now
	Claims  map[string]int64 // requests for a task, by answer
	Updates map[string]int64 // reports about tasks, by answer
}

// Stats is cheap, and never waits.
func (s *Service) Stats() Stats {
	return Stats{Held: s.counts.held.Load(), Claims: count(claimAnswers, &s.counts.claims), Updates: count(updateAnswers, &s.counts.updates)}
}

func count(names map[answer]string, counts *[answers]atomic.Int64) map[string]int64 {
	counted := make(map[string]int64, len(names))
	for a, name := range names {
		counted[name] = counts[a].Load()
	}
	return counted
}

func claimAnswer(c Claim, err error) answer {
	switch {
	case err != nil:
		return failure(err)
	case c.Assignment != nil:
		return answerTask
	case c.Requested != nil:
		return answerStatusRequested
	}
	return answerNone
}

func updateAnswer(repeated bool, err error) answer {
	switch {
	case repeated:
		return answerRepeated
	case err == nil:
		return answerAccepted
	case farm.CodeOf(err) == farm.CodeConflict:
		return answerLate
	case farm.CodeOf(err) == farm.CodeNotAssigned:
		return answerNotAssigned
	}
	return failure(err)
}

func failure(err error) answer {
	switch code := farm.CodeOf(err); {
	case canceled(err):
		return answerGone
	case code == "" || code == farm.CodeBusy || code == farm.CodeStorage:
		return answerFailed
	}
	return answerRefused
}
