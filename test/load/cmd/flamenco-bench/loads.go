// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/test/load/driver"
	"flamenco.farm/test/load/measure"
)

// command adds its flags and returns what it does once they are read.
type command func(flags *flag.FlagSet) func(ctx context.Context) error

var commands = map[string]command{
	"submit": submit, "drain": drain, "idle": idle, "poll": poll, "events": events, "shaman": shaman, "logs": logs,
	"suite": runSuite, "bare": serveBare, "prepare": fill,
}

// load runs a driver and prints its line.
type load interface {
	Run(ctx context.Context) (*measure.Report, error)
}

func printLine(ctx context.Context, l load) error {
	report, err := l.Run(ctx)
	if err != nil {
		return err
	}
	return report.WriteLine(os.Stdout)
}

// farmFlags are those of every load.
func farmFlags(flags *flag.FlagSet, f *driver.Farm, duration *time.Duration) {
	flags.Func("manager", "the `URL` of the Manager; several are separated by commas, and Workers are spread over them (default http://localhost:8080)", func(text string) error {
		f.Managers = nil
		for part := range strings.SplitSeq(text, ",") {
			u, err := url.Parse(strings.TrimRight(part, "/"))
			if err != nil {
				return err
			}
			if u.Scheme != "http" || u.Host == "" {
				return fmt.Errorf("%q is no address such as http://localhost:8080", part)
			}
			f.Managers = append(f.Managers, u)
		}
		return nil
	})
	f.Managers = []*url.URL{{Scheme: "http", Host: "localhost:8080"}}
	flags.Func("pid", "the number of a server's `PROCESS` whose CPU time and memory are shown; may be repeated", func(text string) error {
		pid, err := strconv.Atoi(text)
		f.PIDs = append(f.PIDs, pid)
		return err
	})
	flags.DurationVar(duration, "duration", 15*time.Second, "how long at most")
}

func kindFlags(flags *flag.FlagSet, k *driver.JobKind) {
	flags.StringVar(&k.Type, "type", "echo-sleep-test", "the `JOB TYPE`: echo-sleep-test, or "+driver.ScriptName+" if the Manager has its script")
	flags.StringVar(&k.TaskType, "task-type", "misc", "the `TASK TYPE` of jobs of type "+driver.ScriptName)
	flags.IntVar(&k.Priority, "priority", 50, "of the jobs")
}

func taskTypes(flags *flag.FlagSet, types *[]string) {
	*types = driver.MixedTypes
	flags.Func("task-types", "the task `TYPES` that Workers run, separated by commas (default "+strings.Join(*types, ",")+")", func(text string) error {
		*types = strings.Split(text, ",")
		return nil
	})
}

func atLeastOne(values ...int) error {
	for _, v := range values {
		if v < 1 {
			return errors.New("numbers must be 1 or more")
		}
	}
	return nil
}

func submit(flags *flag.FlagSet) func(ctx context.Context) error {
	var s driver.Submit
	farmFlags(flags, &s.Farm, &s.Duration)
	kindFlags(flags, &s.Kind)
	flags.IntVar(&s.Tasks, "n", 10000, "tasks in all jobs together")
	flags.IntVar(&s.Jobs, "jobs", 1, "how many jobs")
	return func(ctx context.Context) error {
		if err := atLeastOne(s.Tasks, s.Jobs); err != nil {
			return err
		}
		return printLine(ctx, s)
	}
}

func drainFlags(flags *flag.FlagSet, d *driver.Drain) {
	farmFlags(flags, &d.Farm, &d.Duration)
	kindFlags(flags, &d.Kind)
	taskTypes(flags, &d.TaskTypes)
	flags.IntVar(&d.Workers, "workers", 50, "how many Workers")
	flags.IntVar(&d.Tasks, "n", 20000, "tasks in all jobs together")
	flags.BoolVar(&d.KeepJobs, "keep", false, "leave what is not done in the queue")
}

func drain(flags *flag.FlagSet) func(ctx context.Context) error {
	var d driver.Drain
	drainFlags(flags, &d)
	flags.IntVar(&d.Jobs, "jobs", 1, "how many jobs to submit first; 0 runs the tasks that are there")
	flags.BoolVar(&d.Mixed, "mixed", false, "give the jobs, of type "+driver.ScriptName+", different task types and tags")
	return func(ctx context.Context) error {
		if err := atLeastOne(d.Workers, d.Tasks); err != nil {
			return err
		}
		return printLine(ctx, d)
	}
}

func idle(flags *flag.FlagSet) func(ctx context.Context) error {
	var i driver.Idle
	farmFlags(flags, &i.Farm, &i.Duration)
	taskTypes(flags, &i.TaskTypes)
	flags.IntVar(&i.Workers, "workers", 1000, "how many Workers")
	return func(ctx context.Context) error {
		if err := atLeastOne(i.Workers); err != nil {
			return err
		}
		return printLine(ctx, i)
	}
}

func poll(flags *flag.FlagSet) func(ctx context.Context) error {
	l := driver.Poll{}
	drainFlags(flags, &l.Drain)
	l.Jobs = 1
	flags.IntVar(&l.People, "people", 3, "how many people read")
	flags.DurationVar(&l.Pause, "pause", time.Second, "of each person between two looks")
	return func(ctx context.Context) error {
		if err := atLeastOne(l.Workers, l.Tasks, l.People); err != nil {
			return err
		}
		return printLine(ctx, l)
	}
}

func events(flags *flag.FlagSet) func(ctx context.Context) error {
	var e driver.Events
	drainFlags(flags, &e.Drain)
	flags.IntVar(&e.Clients, "clients", 50, "how many browsers")
	return func(ctx context.Context) error {
		if err := atLeastOne(e.Workers, e.Tasks, e.Clients); err != nil {
			return err
		}
		return printLine(ctx, e)
	}
}

func shaman(flags *flag.FlagSet) func(ctx context.Context) error {
	var s driver.Shaman
	farmFlags(flags, &s.Farm, &s.Duration)
	flags.IntVar(&s.Files, "files", 20, "files of a checkout")
	flags.IntVar(&s.Size, "size", 1<<20, "of a file, in bytes")
	flags.IntVar(&s.Rounds, "n", 0, "checkouts; 0 makes them until the time is over")
	return func(ctx context.Context) error {
		if err := atLeastOne(s.Files, s.Size); err != nil {
			return err
		}
		return printLine(ctx, s)
	}
}

func logs(flags *flag.FlagSet) func(ctx context.Context) error {
	var l driver.Logs
	farmFlags(flags, &l.Farm, &l.Duration)
	kindFlags(flags, &l.Kind)
	taskTypes(flags, &l.TaskTypes)
	flags.IntVar(&l.Workers, "workers", 10, "how many Workers")
	flags.IntVar(&l.Updates, "n", 0, "chunks that each Worker appends; 0 appends until the time is over")
	return func(ctx context.Context) error {
		if err := atLeastOne(l.Workers); err != nil {
			return err
		}
		return printLine(ctx, l)
	}
}
