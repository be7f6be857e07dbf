// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"slices"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

func TestAWorkerIsAskedOnlyForWhatItCanDo(t *testing.T) {
	t.Parallel()
	askable := fields[farm.WorkerStatus]("awake asleep offline restart")
	for _, from := range farm.WorkerStatuses {
		for _, asked := range farm.WorkerStatuses {
			for _, canRestart := range []bool{false, true} {
				cleared, err := flow.WorkerRequest(from, asked, canRestart)
				var want farm.Code
				switch {
				case !slices.Contains(askable, asked):
					want = farm.CodeIllegal
				case asked == farm.WorkerRestart && from != asked && !canRestart:
					want = farm.CodePrecondition
				}
				if farm.CodeOf(err) != want {
					t.Errorf("%s asked for %s, can restart %v: %v", from, asked, canRestart, err)
				}
				if cleared != (err == nil && from == asked) {
					t.Errorf("%s asked for %s: clear %v", from, asked, cleared)
				}
			}
		}
	}
	_, err := flow.WorkerRequest(farm.WorkerAwake, farm.WorkerError, true)
	want := "a worker cannot be asked to become error, only awake, asleep, restart or offline"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestAWorkerThatSignsOnIsAskedForWhatIsPending(t *testing.T) {
	t.Parallel()
	for _, scheduled := range []farm.WorkerStatus{farm.WorkerAwake, farm.WorkerAsleep} {
		if got := flow.SignOnStatus(nil, scheduled); got != scheduled {
			t.Errorf("nothing pending: %s, want %s", got, scheduled)
		}
	}
	for _, s := range append(slices.Clone(farm.WorkerStatuses), "burning") {
		for _, scheduled := range []farm.WorkerStatus{farm.WorkerAwake, farm.WorkerAsleep} {
			want := scheduled
			if s == farm.WorkerAsleep || s == farm.WorkerAwake {
				want = s
			}
			if got := flow.SignOnStatus(&farm.StatusRequest{Status: s, Lazy: true}, scheduled); got != want {
				t.Errorf("%s pending: %s, want %s", s, got, want)
			}
		}
	}
}

func TestWhatAPersonAskedForStandsBeforeTheSchedule(t *testing.T) {
	t.Parallel()
	for _, held := range append(slices.Clone(farm.WorkerStatuses), "") {
		for asleep, want := range map[bool]farm.WorkerStatus{false: farm.WorkerAwake, true: farm.WorkerAsleep} {
			if held == farm.WorkerAsleep || held == farm.WorkerAwake {
				want = held
			}
			if got := flow.ScheduledStatus(held, asleep); got != want {
				t.Errorf("%q held, asleep %v: %s, want %s", held, asleep, got, want)
			}
		}
	}
}

func TestAnEdgeOfTheScheduleReplacesWhatWasPending(t *testing.T) {
	t.Parallel()
	pending := &farm.StatusRequest{Status: farm.WorkerOffline, Lazy: true}
	for _, from := range farm.WorkerStatuses {
		got := flow.ScheduledRequest(from, pending, farm.WorkerAsleep)
		switch from {
		case farm.WorkerError:
			if got != pending {
				t.Errorf("a worker in error is asked for %+v", got)
			}
		case farm.WorkerAsleep:
			if got != nil {
				t.Errorf("a worker that sleeps is asked for %+v", got)
			}
		default:
			if got == nil || *got != (farm.StatusRequest{Status: farm.WorkerAsleep}) {
				t.Errorf("a worker in status %s is asked for %+v", from, got)
			}
		}
	}
}

func TestAWorkerThatStopsWorkingReturnsItsTasks(t *testing.T) {
	t.Parallel()
	always := fields[farm.WorkerStatus]("starting asleep error offline")
	for _, from := range farm.WorkerStatuses {
		for _, to := range farm.WorkerStatuses {
			want := slices.Contains(always, to) || (from == farm.WorkerAwake && to != farm.WorkerAwake)
			if got := flow.ReturnsTasks(from, to); got != want {
				t.Errorf("%s to %s: %v", from, to, got)
			}
		}
	}
}

func TestEveryStatusHasItsLineInTheTables(t *testing.T) {
	t.Parallel()
	for _, s := range farm.WorkerStatuses {
		if !slices.ContainsFunc(flow.WorkerTable(), func(r flow.WorkerRule) bool { return r.Status == s }) {
			t.Errorf("no line for worker status %s", s)
		}
	}
	for _, s := range farm.JobStatuses {
		if !slices.ContainsFunc(flow.StepTable(), func(r flow.StepRule) bool { return r.Status == s }) {
			t.Errorf("no step for job status %s", s)
		}
		if !slices.ContainsFunc(flow.JobTable(), func(r flow.JobRule) bool { return slices.Contains(r.Asked, s) }) {
			t.Errorf("no line for asking for job status %s", s)
		}
	}
}
