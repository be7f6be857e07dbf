// SPDX-License-Identifier: GPL-3.0-or-later

package flow

import (
	"slices"

	"flamenco.farm/internal/farm"
)

// WorkerRule is one line of the table of worker statuses.
type WorkerRule struct {
	Status farm.WorkerStatus
	// Askable tells whether people and schedules may ask a worker to take this status.
	Askable bool
	// AtSignOn tells whether a worker that signs on takes this status if it was asked for; otherwise the wish is
	// dropped, because it came true by itself, and the worker does what its schedule says.
	AtSignOn bool
	// Drops tells whether a worker that takes this status, whatever it was before, gives its tasks back.
	Drops bool
	Note  string
}

var workerTable = []WorkerRule{
	{
		Status: farm.WorkerStarting, Drops: true,
		Note: "It signs on: whatever it ran before is over.",
	},
	{
		Status: farm.WorkerAwake, Askable: true, AtSignOn: true,
		Note: "The only status in which it gets tasks.",
	},
	{
		Status: farm.WorkerAsleep, Askable: true, AtSignOn: true, Drops: true,
		Note: "It stays connected and waits to be woken.",
	},
	{
		Status: farm.WorkerTesting,
		Note:   "Reserved: a worker that tries itself out.",
	},
	{
		Status: farm.WorkerError, Drops: true,
		Note: "It was silent for longer than worker_timeout, or said that something is wrong.",
	},
	{
		Status: farm.WorkerRestart, Askable: true,
		Note: "It ends, and whoever supervises it starts it again. Only for workers that say they can.",
	},
	{
		Status: farm.WorkerOffline, Askable: true, Drops: true,
		Note: "It signed off and does not run.",
	},
}

// WorkerTable is every status of a worker and what it means for requests and tasks.
func WorkerTable() []WorkerRule { return slices.Clone(workerTable) }

func workerRule(s farm.WorkerStatus) WorkerRule {
	i := slices.IndexFunc(workerTable, func(r WorkerRule) bool { return r.Status == s })
	if i < 0 {
		return WorkerRule{}
	}
	return workerTable[i]
}

// WorkerRequest tells whether a person may ask a worker that is in status from for the status asked. clear means that
// the worker is there already, so that whatever was asked of it before is withdrawn. The error is a *farm.Error:
// CodeIllegal for a status that nobody can ask for, CodePrecondition for a restart of a worker that cannot.
func WorkerRequest(from, asked farm.WorkerStatus, canRestart bool) (clear bool, err error) {
	if !workerRule(asked).Askable {
		askable := among(farm.WorkerStatuses, func(s farm.WorkerStatus) bool { return workerRule(s).Askable })
		return false, illegal("a worker cannot be asked to become %s, only %s", asked, list(askable))
	}
	if from == asked {
		return true, nil
	}
	if asked == farm.WorkerRestart && !canRestart {
		return false, farm.Errorf(farm.CodePrecondition,
			"this worker cannot restart itself: it was not started with a restart exit code")
	}
	return false, nil
}

// SignOnStatus is the status asked of a worker that signs on: what is pending for it, else what its schedule says. A
// pending offline or restart came true when the worker ended, so it does not count any more.
func SignOnStatus(pending *farm.StatusRequest, scheduled farm.WorkerStatus) farm.WorkerStatus {
	if pending != nil && workerRule(pending.Status).AtSignOn {
		return pending.Status
	}
	return scheduled
}

// ScheduledStatus is the status that a schedule says, asleep telling which time it is; what a person asked for since the
// last edge of the schedule stands before it, as far as a worker that starts can take that status.
func ScheduledStatus(held farm.WorkerStatus, asleep bool) farm.WorkerStatus {
	switch {
	case workerRule(held).AtSignOn:
		return held
	case asleep:
		return farm.WorkerAsleep
	}
	return farm.WorkerAwake
}

// ScheduledRequest is what is asked of a worker after an edge of its schedule, in place of what was pending: to take the
// status at once, or nothing if it has it. A worker in error is left alone.
func ScheduledRequest(from farm.WorkerStatus, pending *farm.StatusRequest, scheduled farm.WorkerStatus) *farm.StatusRequest {
	switch from {
	case farm.WorkerError:
		return pending
	case scheduled:
		return nil
	}
	return &farm.StatusRequest{Status: scheduled}
}

// ReturnsTasks tells whether a worker that goes from one status to another gives back its active tasks.
func ReturnsTasks(from, to farm.WorkerStatus) bool {
	return (from == farm.WorkerAwake && to != farm.WorkerAwake) || workerRule(to).Drops
}
