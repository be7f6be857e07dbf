// SPDX-License-Identifier: GPL-3.0-or-later

package flow

import (
	"slices"

	"flamenco.farm/internal/farm"
)

// JobRule is one line of the table of what people may ask of a job: asked for any of Asked, a job that is one of From
// becomes To, and one that is one of Reached stays as it is because it is there, or on its way there, already.
type JobRule struct {
	Asked   []farm.JobStatus
	From    []farm.JobStatus
	To      farm.JobStatus
	Reached []farm.JobStatus
	Note    string
}

var jobTable = []JobRule{
	{
		Asked: []farm.JobStatus{farm.JobCancelRequested, farm.JobCanceled},
		From: []farm.JobStatus{
			farm.JobUnderConstruction, farm.JobQueued, farm.JobActive, farm.JobFailed,
			farm.JobPauseRequested, farm.JobPaused, farm.JobRequeueing,
		},
		To:      farm.JobCancelRequested,
		Reached: []farm.JobStatus{farm.JobCancelRequested, farm.JobCanceled},
		Note:    "Ends as canceled. Nothing more is handed out; running tasks are stopped.",
	},
	{
		Asked:   []farm.JobStatus{farm.JobPauseRequested, farm.JobPaused},
		From:    []farm.JobStatus{farm.JobQueued, farm.JobActive, farm.JobCanceled},
		To:      farm.JobPauseRequested,
		Reached: []farm.JobStatus{farm.JobPauseRequested, farm.JobPaused},
		Note:    "Ends as paused when the running tasks are done. Requeue resumes.",
	},
	{
		Asked: []farm.JobStatus{farm.JobRequeueing},
		From: []farm.JobStatus{
			farm.JobUnderConstruction, farm.JobCompleted, farm.JobFailed, farm.JobCanceled,
			farm.JobPauseRequested, farm.JobPaused,
		},
		To:      farm.JobRequeueing,
		Reached: []farm.JobStatus{farm.JobRequeueing},
		Note:    "Ends as queued. Blocklist and failures are cleared; completed tasks run again only if the whole job was completed.",
	},
	{
		Asked: []farm.JobStatus{farm.JobQueued},
		From: []farm.JobStatus{
			farm.JobUnderConstruction, farm.JobCompleted, farm.JobFailed, farm.JobCanceled,
			farm.JobPauseRequested, farm.JobPaused,
		},
		To:      farm.JobRequeueing,
		Reached: []farm.JobStatus{farm.JobQueued, farm.JobActive, farm.JobRequeueing},
		Note:    "The same as requeueing.",
	},
	{
		Asked:   []farm.JobStatus{farm.JobFailed},
		From:    []farm.JobStatus{farm.JobQueued, farm.JobActive, farm.JobPauseRequested, farm.JobPaused},
		To:      farm.JobFailed,
		Reached: []farm.JobStatus{farm.JobFailed},
		Note:    "Waiting and running tasks are canceled.",
	},
	{Asked: []farm.JobStatus{farm.JobActive}, Reached: []farm.JobStatus{farm.JobActive}, Note: "Follows from its tasks only."},
	{Asked: []farm.JobStatus{farm.JobCompleted}, Reached: []farm.JobStatus{farm.JobCompleted}, Note: "Follows from its tasks only."},
	{
		Asked: []farm.JobStatus{farm.JobUnderConstruction}, Reached: []farm.JobStatus{farm.JobUnderConstruction},
		Note: "The Manager sets it while it makes the job.",
	},
}

// JobTable is what people may ask of a job.
func JobTable() []JobRule { return slices.Clone(jobTable) }

// JobRequest turns the status that a person asks for into the one that the job takes now. ok is false when there is
// nothing to do, because the job is there or on its way; err is a *farm.Error with CodeIllegal when it cannot go there.
func JobRequest(from, asked farm.JobStatus) (to farm.JobStatus, ok bool, err error) {
	if r, found := jobRule(asked); found {
		switch {
		case slices.Contains(r.Reached, from):
			return from, false, nil
		case slices.Contains(r.From, from):
			return r.To, true, nil
		}
	}
	allowed := among(farm.JobStatuses, func(s farm.JobStatus) bool {
		r, found := jobRule(s)
		return found && slices.Contains(r.From, from)
	})
	return "", false, illegal("a job cannot go from %s to %s: a person may change a job that is %s to %s",
		from, asked, from, list(allowed))
}

func jobRule(asked farm.JobStatus) (rule JobRule, found bool) {
	i := slices.IndexFunc(jobTable, func(r JobRule) bool { return slices.Contains(r.Asked, asked) })
	if i < 0 {
		return JobRule{}, false
	}
	return jobTable[i], true
}

// RequeueRule is one line of the table of what becomes of a job when a person requeues one of its tasks; To is empty
// where the job stays as it is. Statuses without a rule refuse it.
type RequeueRule struct {
	From []farm.JobStatus
	To   farm.JobStatus
	Note string
}

var requeueTable = []RequeueRule{
	{
		From: []farm.JobStatus{farm.JobCompleted, farm.JobFailed, farm.JobCanceled},
		To:   farm.JobQueued,
		Note: "The job runs again, for that task and what depends on it.",
	},
	{
		From: []farm.JobStatus{farm.JobQueued, farm.JobActive},
		Note: "The task runs as soon as its dependencies are completed.",
	},
	{
		From: []farm.JobStatus{farm.JobPauseRequested, farm.JobPaused, farm.JobRequeueing},
		Note: "The task runs when the job does.",
	},
}

// RequeueTable is what becomes of a job when a person requeues one of its tasks.
func RequeueTable() []RequeueRule { return slices.Clone(requeueTable) }

// RequeueTask is the status of a job after a person requeued one of its tasks; it may be the same as before. err is a
// *farm.Error with CodeIllegal while the job is being canceled or made. The caller lets the job come to rest first (see
// NextStep), so that a job that just failed has taken its other tasks along, and unblocks the workers of the task's
// type if all are blocked.
func RequeueTask(job farm.JobStatus) (farm.JobStatus, error) {
	i := slices.IndexFunc(requeueTable, func(r RequeueRule) bool { return slices.Contains(r.From, job) })
	if i < 0 {
		return "", illegal("a task of a job that is %s cannot be requeued, wait until that is over", job)
	}
	if to := requeueTable[i].To; to != "" {
		return to, nil
	}
	return job, nil
}
