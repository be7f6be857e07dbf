// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"context"
	"net/http"
	"time"

	"flamenco.farm/test/load/measure"
)

// Submit is people who submit jobs, one after the other.
type Submit struct {
	Farm
	Tasks    int // in all jobs together
	Jobs     int
	Kind     JobKind
	Duration time.Duration // after this no further job is submitted
}

// Run submits the jobs and cancels them again. Before each job it has the same one only compiled, which is shown apart.
func (s Submit) Run(ctx context.Context) (*measure.Report, error) {
	watch, err := measure.StartWatch(s.PIDs)
	if err != nil {
		return nil, err
	}
	p, rec := s.person(), measure.NewRecorder()
	report := &measure.Report{What: "submit", Managers: s.names()}
	var submitting, compiling time.Duration
	var jobs []string
	end := time.Now().Add(s.Duration)
	n := s.Tasks / s.Jobs
	for len(jobs) < s.Jobs && time.Now().Before(end) {
		start := time.Now()
		if _, err := p.Call(ctx, http.MethodPost, "/jobs/check", s.Kind.submission(n)); err != nil {
			return nil, err
		}
		compiled := time.Now()
		job, err := p.Submit(ctx, s.Kind, n)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job.ID)
		rec.Took("compile only", compiled.Sub(start))
		rec.Took("submit", time.Since(compiled))
		compiling += compiled.Sub(start)
		submitting += time.Since(compiled)
	}
	if report.Servers, err = watch.Stop(); err != nil {
		return nil, err
	}
	report.Tasks = len(jobs) * n
	report.Finish(rec, submitting)
	report.Figures = map[string]float64{"compile_s": compiling.Seconds(), "submit_s": submitting.Seconds(), "jobs": float64(len(jobs))}
	Drain{Farm: s.Farm}.cancelJobs(context.WithoutCancel(ctx), jobs)
	return report, nil
}
