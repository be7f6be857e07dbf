// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

const (
	fullID       = 36 // characters of a whole id
	shortestID   = 4  // characters that an abbreviation needs
	recentJobs   = 50 // how many of the latest jobs are searched for the abbreviation of a task
	ambiguousMax = 5  // how many candidates are named when an abbreviation fits several things
)

// named is one thing that an abbreviation may stand for.
type named struct{ id, name string }

// resolveJob finds the job that the user means by an id or the beginning of one.
func resolveJob(ctx context.Context, c *client.Client, text string) (string, error) {
	return resolve("job", text, func(yield func(named, error) bool) {
		for job, err := range c.Jobs(ctx, client.List{}) {
			if !yield(named{job.ID, job.Name}, err) {
				return
			}
		}
	})
}

// resolveWorker finds a worker by its id, the beginning of one, or its name.
func resolveWorker(ctx context.Context, c *client.Client, text string) (string, error) {
	if len(text) == fullID {
		return text, nil
	}
	workers, err := client.Collect(c.Workers(ctx, client.List{}))
	if err != nil {
		return "", err
	}
	var byName []string
	for _, worker := range workers {
		if worker.Name == text {
			byName = append(byName, worker.ID)
		}
	}
	if len(byName) == 1 {
		return byName[0], nil
	}
	return resolve("worker", text, func(yield func(named, error) bool) {
		for _, worker := range workers {
			if !yield(named{worker.ID, worker.Name}, nil) {
				return
			}
		}
	})
}

// resolveTask finds a task by its id, by JOB/NUMBER or JOB/NAME, or by the beginning of its id if its job is recent.
func resolveTask(ctx context.Context, c *client.Client, text string) (string, error) {
	if len(text) == fullID && !strings.Contains(text, "/") {
		return text, nil
	}
	if job, task, ok := strings.Cut(text, "/"); ok {
		jobID, err := resolveJob(ctx, c, job)
		if err != nil {
			return "", err
		}
		return taskOfJob(ctx, c, jobID, task)
	}
	id, err := resolve("task", text, recentTasks(ctx, c))
	if is[notFoundError](err) {
		return "", notFoundError{fmt.Sprintf("%v among the latest %d jobs; name it JOB/NUMBER", err, recentJobs)}
	}
	return id, err
}

func taskOfJob(ctx context.Context, c *client.Client, jobID, text string) (string, error) {
	var tasks []named
	for task, err := range c.Tasks(ctx, jobID, client.List{}) {
		if err != nil {
			return "", err
		}
		if task.Name == text || strconv.Itoa(task.IndexInJob) == text {
			return task.ID, nil
		}
		tasks = append(tasks, named{task.ID, task.Name})
	}
	return resolve("task", text, func(yield func(named, error) bool) {
		for _, task := range tasks {
			if !yield(task, nil) {
				return
			}
		}
	})
}

func recentTasks(ctx context.Context, c *client.Client) iter.Seq2[named, error] {
	return func(yield func(named, error) bool) {
		jobs, err := newestJobs(ctx, c, recentJobs)
		if err != nil {
			yield(named{}, err)
			return
		}
		for _, job := range jobs {
			for task, err := range c.Tasks(ctx, job.ID, client.List{}) {
				if !yield(named{task.ID, job.Name + "/" + task.Name}, err) {
					return
				}
			}
		}
	}
}

// resolve finds the one candidate whose id begins with text. A whole id is not looked up: the Manager says if it is wrong.
func resolve(kind, text string, candidates iter.Seq2[named, error]) (string, error) {
	text = strings.ToLower(text)
	if len(text) == fullID {
		return text, nil
	}
	if len(text) < shortestID {
		return "", usagef("%q is too short for the id of a %s: give at least %d characters", text, kind, shortestID)
	}
	var found []named
	for candidate, err := range candidates {
		if err != nil {
			return "", err
		}
		if strings.HasPrefix(candidate.id, text) {
			found = append(found, candidate)
		}
	}
	switch len(found) {
	case 0:
		return "", notFoundError{fmt.Sprintf("there is no %s whose id begins with %q", kind, text)}
	case 1:
		return found[0].id, nil
	}
	var names strings.Builder
	for i, candidate := range found {
		if i == ambiguousMax {
			fmt.Fprintf(&names, "\n  and %d more", len(found)-i)
			break
		}
		fmt.Fprintf(&names, "\n  %s  %s", candidate.id, candidate.name)
	}
	return "", usagef("%q may be any of %d %ss:%s", text, len(found), kind, names.String())
}

// resolveTag finds the id of a worker tag by its name or id.
func resolveTag(ctx context.Context, c *client.Client, text string) (string, error) {
	tags, err := c.Tags(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, tag := range tags {
		if tag.ID != nil && (tag.Name == text || tagID(tag) == text) {
			return tagID(tag), nil
		}
		names = append(names, tag.Name)
	}
	if names == nil {
		return "", notFoundError{fmt.Sprintf("there is no worker tag %q: the farm has no tags", text)}
	}
	return "", notFoundError{fmt.Sprintf("there is no worker tag %q; there is %s", text, strings.Join(names, ", "))}
}

func tagID(tag api.WorkerTag) string {
	if tag.ID == nil {
		return ""
	}
	return string(*tag.ID)
}
