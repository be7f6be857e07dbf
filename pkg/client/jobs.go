// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"fmt"
	"iter"

	"flamenco.farm/pkg/api"
)

// Version says which Manager this is. It is the cheapest way to find out whether one is there.
func (c *Client) Version(ctx context.Context) (api.FlamencoVersion, error) {
	a, err := decode[api.FlamencoVersion](c.api.GetVersion(ctx))
	return a.body, err
}

// JobTypes lists the job types with their settings.
func (c *Client) JobTypes(ctx context.Context) ([]api.AvailableJobType, error) {
	a, err := decode[api.AvailableJobTypes](c.api.GetJobTypes(ctx))
	return a.body.JobTypes, err
}

// JobType is one job type by its name.
func (c *Client) JobType(ctx context.Context, name string) (api.AvailableJobType, error) {
	a, err := decode[api.AvailableJobType](c.api.GetJobType(ctx, name))
	return a.body, err
}

// MaybeSubmittedError says that the connection broke after a job was sent and before an answer came: it may exist.
type MaybeSubmittedError struct{ Err error }

func (e *MaybeSubmittedError) Error() string {
	return fmt.Sprintf("the connection broke while the job was submitted; look whether it is there before you try again: %v", e.Err)
}

func (e *MaybeSubmittedError) Unwrap() error { return e.Err }

// SubmitJob submits a job. It is sent again only when the Manager certainly did not take it, so it never exists twice;
// when nobody can know the error is a MaybeSubmittedError.
func (c *Client) SubmitJob(ctx context.Context, job api.SubmittedJob) (api.Job, error) {
	a, err := decode[api.Job](c.api.SubmitJob(ctx, job))
	if isUnreachable(err) && !neverSent(err) {
		return a.body, &MaybeSubmittedError{Err: err}
	}
	return a.body, err
}

// CheckJob asks whether a job could be submitted; nil means yes.
func (c *Client) CheckJob(ctx context.Context, job api.SubmittedJob) error {
	return done(c.api.SubmitJobCheck(asRepeatable(ctx), job))
}

// Jobs yields the jobs of the farm.
func (c *Client) Jobs(ctx context.Context, list List) iter.Seq2[api.Job, error] {
	return pages(func(after string) (answer[api.JobsQueryResult], error) {
		return c.jobsAfter(ctx, list, after)
	}, func(page api.JobsQueryResult) []api.Job { return page.Jobs })
}

// JobPage is one page of the jobs, the first one if after is empty, and what to give as after for the next one, which is
// empty on the last. A Manager of Flamenco 3 has one page, with everything.
func (c *Client) JobPage(ctx context.Context, list List, after string) (jobs []api.Job, next string, err error) {
	a, err := c.jobsAfter(ctx, list, after)
	return a.body.Jobs, a.next, err
}

func (c *Client) jobsAfter(ctx context.Context, list List, after string) (answer[api.JobsQueryResult], error) {
	return decode[api.JobsQueryResult](c.api.FetchJobs(ctx, nil, list.editor(after)))
}

// Job is one job by its id.
func (c *Client) Job(ctx context.Context, id string) (api.Job, error) {
	a, err := c.job(ctx, id)
	return a.body, err
}

func (c *Client) job(ctx context.Context, id string, edit ...api.RequestEditorFn) (answer[api.Job], error) {
	return decode[api.Job](c.api.FetchJob(ctx, id, nil, edit...))
}

// SetJobStatus changes the status of a job, for example to cancel-requested or requeueing.
func (c *Client) SetJobStatus(ctx context.Context, id string, status api.JobStatus, reason string) error {
	return done(c.api.SetJobStatus(asRepeatable(ctx), id, nil, api.JobStatusChange{Status: status, Reason: reason}))
}

// DeleteJob has a job deleted, in the background. Deleting it again while it is on its way is no error.
func (c *Client) DeleteJob(ctx context.Context, id string) error {
	return done(c.api.DeleteJob(asRepeatable(ctx), id))
}

// Tags lists the worker tags.
func (c *Client) Tags(ctx context.Context) ([]api.WorkerTag, error) {
	a, err := decode[api.WorkerTagList](c.api.FetchWorkerTags(ctx))
	return a.body.Tags, err
}

// Workers yields the workers of the farm.
func (c *Client) Workers(ctx context.Context, list List) iter.Seq2[api.WorkerSummary, error] {
	return pages(func(after string) (answer[api.WorkerList], error) {
		return decode[api.WorkerList](c.api.FetchWorkers(ctx, nil, list.editor(after)))
	}, func(page api.WorkerList) []api.WorkerSummary { return page.Workers })
}

// Worker is one worker by its id.
func (c *Client) Worker(ctx context.Context, id string) (api.Worker, error) {
	a, err := decode[api.Worker](c.api.FetchWorker(ctx, id, nil))
	return a.body, err
}
