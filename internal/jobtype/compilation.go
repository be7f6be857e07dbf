// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"flamenco.farm/internal/farm"
)

// maxSteps is the most steps one command may announce; sums of them must fit any counter.
const maxSteps = 1_000_000_000

// compilation gathers what a script makes of one submission. Nothing of it is trusted: a script may have replaced every
// function that the prelude relies on.
type compilation struct {
	job    Submission
	limit  int // of tasks
	tasks  []farm.NewTask
	output *jobOutput
}

func (c *compilation) input() *jobInput {
	return &jobInput{
		ID: c.job.JobID, Name: c.job.Name, Type: c.job.Type, Priority: c.job.Priority,
		Created: c.job.Created.UnixMilli(), Settings: c.job.Settings, Metadata: orEmpty(c.job.Metadata),
		Checkout: c.job.ShamanCheckoutID, WorkerTag: c.job.TagID,
	}
}

// take adds the tasks of one reply, or keeps the last reply.
func (c *compilation) take(r reply) error {
	if r.Job != nil {
		c.output = r.Job
		return nil
	}
	if len(c.tasks)+len(r.Tasks) > c.limit {
		return farm.Errorf(farm.CodeInvalid, "job type %s: the job has more than %d tasks", c.job.Type, c.limit)
	}
	for _, t := range r.Tasks {
		task, err := newTask(t)
		if err != nil {
			return farm.Errorf(farm.CodeInvalid, "job type %s: task %s: %v", c.job.Type, show(t.Name), err)
		}
		c.tasks = append(c.tasks, task)
	}
	return nil
}

func newTask(t taskOutput) (farm.NewTask, error) {
	task := farm.NewTask{
		Name: t.Name, Type: t.Type, Priority: t.Priority, Dependencies: t.Dependencies,
		OnDisconnect: farm.OnDisconnect(t.OnDisconnect), Commands: make([]farm.Command, len(t.Commands)),
	}
	switch task.OnDisconnect {
	case "", farm.KeepOnDisconnect, farm.StopOnDisconnect:
	default:
		return task, fmt.Errorf("onDisconnect is %s", show(t.OnDisconnect))
	}
	if err := checkName(t.Name); err != nil {
		return task, fmt.Errorf("its name %w", err)
	}
	if err := checkName(t.Type); err != nil {
		return task, fmt.Errorf("its type %w", err)
	}
	if t.Priority < 0 || t.Priority > 100 {
		return task, fmt.Errorf("its priority is %d, must be from 0 to 100", t.Priority)
	}
	for i, command := range t.Commands {
		if err := checkName(command.Name); err != nil {
			return task, fmt.Errorf("the name of its command %d %w", i+1, err)
		}
		if command.Steps < 0 || command.Steps > maxSteps {
			return task, fmt.Errorf("command %s has %d steps", show(command.Name), command.Steps)
		}
		numbers(command.Parameters)
		task.Commands[i] = farm.Command{
			Name: command.Name, Parameters: orEmpty(command.Parameters), TotalStepCount: command.Steps,
		}
	}
	return task, nil
}

// checkName refuses what a list cannot show or a database cannot store.
func checkName(name string) error {
	switch {
	case strings.TrimSpace(name) == "":
		return errors.New("is empty")
	case strings.ContainsRune(name, 0):
		return errors.New("has a zero byte in it")
	case len(name) > 10_000:
		return fmt.Errorf("is %d bytes long", len(name))
	}
	return nil
}

// result is the compiled job. Its errors are about the tasks as a whole.
func (c *compilation) result() (farm.NewJob, error) {
	if c.output == nil || len(c.tasks) == 0 {
		return farm.NewJob{}, errors.New("it made no job")
	}
	if err := checkDependencies(c.tasks); err != nil {
		return farm.NewJob{}, err
	}
	if err := checkName(c.output.Name); err != nil {
		return farm.NewJob{}, fmt.Errorf("the name of the job %w", err)
	}
	if p := c.output.Priority; p < 0 || p > 100 {
		return farm.NewJob{}, fmt.Errorf("the priority of the job is %d, must be from 0 to 100", p)
	}
	settings := c.job.Settings // our own copy, see fill
	numbers(c.output.Set)
	maps.Copy(settings, c.output.Set)
	for _, key := range c.output.Unset {
		delete(settings, key)
	}
	return farm.NewJob{
		ID: c.job.JobID, Name: c.output.Name, Type: c.job.Type, Priority: c.output.Priority,
		InitialStatus: c.job.InitialStatus, TagID: c.job.TagID, Tasks: c.tasks,
		JobSpec: farm.JobSpec{
			Settings: settings, Metadata: orEmpty(c.output.Metadata),
			ShamanCheckoutID: c.job.ShamanCheckoutID, SubmitterPlatform: c.job.SubmitterPlatform,
		},
	}, nil
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// checkDependencies refuses dependencies on nothing and circles, which would keep a job from ever ending.
func checkDependencies(tasks []farm.NewTask) error {
	for i, task := range tasks {
		for _, d := range task.Dependencies {
			if d < 0 || d >= len(tasks) {
				return fmt.Errorf("task %s depends on task %d of %d", show(tasks[i].Name), d+1, len(tasks))
			}
		}
	}
	circle := findCircle(tasks)
	if circle == nil {
		return nil
	}
	const shown = 10
	names := make([]string, 0, shown+2)
	for _, i := range circle[:min(shown, len(circle))] {
		names = append(names, strconv.Quote(shorten(tasks[i].Name, 100)))
	}
	if len(circle) > shown {
		names = append(names, fmt.Sprintf("%d more", len(circle)-shown))
	}
	names = append(names, names[0])
	return fmt.Errorf("circular dependencies: %s", strings.Join(names, " needs "))
}

// findCircle returns the tasks of one circle in the order in which each needs the next, or nil. It walks in depth with
// its own stack, because a chain of dependencies may be as long as the job.
func findCircle(tasks []farm.NewTask) []int {
	const (
		unseen = iota
		open   // on the path that is being walked
		done
	)
	state := make([]byte, len(tasks))
	next := make([]int, len(tasks)) // which dependency to walk next
	for start := range tasks {
		if state[start] != unseen {
			continue
		}
		path := []int{start}
		state[start] = open
		for len(path) > 0 {
			at := path[len(path)-1]
			if next[at] == len(tasks[at].Dependencies) {
				state[at] = done
				path = path[:len(path)-1]
				continue
			}
			to := tasks[at].Dependencies[next[at]]
			next[at]++
			switch state[to] {
			case open:
				return path[slices.Index(path, to):]
			case unseen:
				state[to] = open
				path = append(path, to)
			}
		}
	}
	return nil
}
