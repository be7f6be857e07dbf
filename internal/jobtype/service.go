// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
)

// Options say where scripts are and what they may use up. Zero values mean the defaults.
type Options struct {
	ScriptsDir  string        // "" = only the built-in scripts; see DefaultScriptsDir
	Log         *slog.Logger  // nil = slog.Default()
	TimeLimit   time.Duration // for one run of a script: 10 s
	MemoryLimit int64         // bytes that a script may use: 256 MiB
	MaxTasks    int           // 200,000
	MaxOutput   int64         // bytes of JSON of all tasks: 256 MB
	Executable  string        // the program that runs ChildMain: os.Executable()
	// Observe hears how long each Compile took and how it ended. It must not block. nil = nobody wants to know.
	Observe func(took time.Duration, err error)
}

// Service knows the job types and compiles submissions. Its methods may be called from several goroutines, whether or
// not Run runs: Run only makes compiling faster.
type Service struct {
	opts  Options
	slots chan struct{} // one for each compiler process that may work at the same time
	taken chan struct{} // tells Run that the spare is gone

	loading chan struct{} // held while the library is read
	lib     *library      // guarded by loading
	trouble string        // guarded by loading: the last problem with the folder that was logged

	mu       sync.Mutex
	spare    *process
	spareLib *library // what the spare knows
}

// New makes a service; it starts nothing.
func New(opts Options) (*Service, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.TimeLimit == 0 {
		opts.TimeLimit = 10 * time.Second
	}
	if opts.MemoryLimit == 0 {
		opts.MemoryLimit = 256 << 20
	}
	if opts.MaxTasks == 0 {
		opts.MaxTasks = 200_000
	}
	if opts.MaxOutput == 0 {
		opts.MaxOutput = 256_000_000
	}
	if opts.Observe == nil {
		opts.Observe = func(time.Duration, error) {}
	}
	if opts.Executable == "" {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("finding the program that compiles jobs: %w", err)
		}
		opts.Executable = exe
	}
	return &Service{
		opts: opts, slots: make(chan struct{}, max(2, runtime.GOMAXPROCS(0))), taken: make(chan struct{}, 1),
		loading: make(chan struct{}, 1),
	}, nil
}

// Types lists the job types by name. Scripts that are broken are left out.
func (s *Service) Types(ctx context.Context) ([]Type, error) {
	lib, err := s.library(ctx)
	if err != nil {
		return nil, err
	}
	return slices.Clone(lib.types), nil
}

// Type returns one job type. The error is farm.CodeNotFound if there is none, and says why if its script is broken.
func (s *Service) Type(ctx context.Context, name string) (Type, error) {
	lib, err := s.library(ctx)
	if err != nil {
		return Type{}, err
	}
	t, err := lib.find(name)
	if err != nil {
		return Type{}, err
	}
	return *t, nil
}

// Compile checks a submission and lets its job type's script make tasks of it. All that is wrong with the submission or
// the script is a *farm.Error: farm.CodePrecondition for an old type etag, farm.CodeInvalid for everything else.
func (s *Service) Compile(ctx context.Context, sub Submission) (farm.NewJob, error) {
	began := time.Now()
	job, err := s.compile(ctx, sub)
	s.opts.Observe(time.Since(began), err)
	return job, err
}

func (s *Service) compile(ctx context.Context, sub Submission) (farm.NewJob, error) {
	lib, err := s.library(ctx)
	if err != nil {
		return farm.NewJob{}, err
	}
	t, err := lib.find(sub.Type)
	if err != nil {
		return farm.NewJob{}, farm.Errorf(farm.CodeInvalid, "%v", err)
	}
	if sub, err = prepare(sub, t); err != nil {
		return farm.NewJob{}, err
	}
	c := &compilation{job: sub, limit: s.opts.MaxTasks}
	script := lib.sources[t.Name]
	if err := s.carryOut(ctx, lib, order{Script: script, Job: c.input()}, c.take); err != nil {
		return farm.NewJob{}, err
	}
	job, err := c.result()
	if err != nil {
		return farm.NewJob{}, farm.Errorf(farm.CodeInvalid, "script %s: %v", script, err)
	}
	return job, nil
}

// prepare checks everything about a submission that needs no script.
func prepare(sub Submission, t *Type) (Submission, error) {
	switch {
	case sub.TypeETag != "" && sub.TypeETag != t.ETag:
		return sub, farm.Errorf(farm.CodePrecondition,
			"job type %s has changed since it was loaded (etag %s, now %s): refresh the job types and submit again",
			t.Name, shorten(sub.TypeETag, 64), t.ETag)
	case sub.Name == "":
		return sub, farm.Errorf(farm.CodeInvalid, "name is missing")
	case sub.Priority < 0 || sub.Priority > 100:
		return sub, farm.Errorf(farm.CodeInvalid, "priority is %d, must be from 0 to 100", sub.Priority)
	case sub.InitialStatus != "" && sub.InitialStatus != farm.JobQueued && sub.InitialStatus != farm.JobPaused:
		return sub, farm.Errorf(farm.CodeInvalid, "initial_status is %q, must be queued or paused", sub.InitialStatus)
	}
	var err error
	if sub.Settings, err = t.fill(sub.Settings); err != nil {
		return sub, err
	}
	if sub.JobID == "" {
		sub.JobID = uuid.NewString()
	}
	if sub.Created.IsZero() {
		sub.Created = time.Now()
	}
	return sub, nil
}

// library returns what the scripts are now, and reads them again if any file has changed.
func (s *Service) library(ctx context.Context) (*library, error) {
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	files, err := listScripts(s.opts.ScriptsDir)
	s.logFolder(err)
	if s.lib != nil && slices.EqualFunc(files, s.lib.files, func(a, b fileID) bool {
		return a.name == b.name && a.size == b.size && a.time.Equal(b.time)
	}) {
		return s.lib, nil
	}
	lib, err := readScripts(s.opts.ScriptsDir, files)
	if err != nil {
		return nil, err
	}
	// The time limit bounds this, so the work need not be thrown away when the caller that happens to do it leaves.
	ask := func(ctx context.Context, script string) (text []byte, err error) {
		err = s.carryOut(ctx, lib, order{Script: script}, func(r reply) error {
			text = r.JobType
			return nil
		})
		return text, err
	}
	if err := lib.describe(context.WithoutCancel(ctx), cap(s.slots), ask); err != nil {
		return nil, fmt.Errorf("reading the job types: %w", err)
	}
	for name, err := range lib.broken {
		s.opts.Log.Warn("job type cannot be used", "type", name, "error", err)
	}
	s.lib = lib
	return lib, nil
}

// logFolder logs a problem with the scripts folder when it comes up; the built-in types go on working.
func (s *Service) logFolder(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != s.trouble {
		s.opts.Log.Warn("only the built-in job types are available", "error", err)
	}
	s.trouble = text
}

// carryOut gives an order to the spare process if it is any good, and otherwise to a new one.
func (s *Service) carryOut(ctx context.Context, lib *library, o order, take func(reply) error) error {
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if o.Job != nil { // describing happens when scripts have changed, which no spare knows of
		if p := s.takeSpare(lib); p != nil {
			err := p.carryOut(ctx, o, take)
			p.end()
			if !errors.Is(err, errNotStarted) {
				return err
			}
		}
	}
	p, err := s.start(ctx, lib)
	if err != nil {
		return err
	}
	defer p.end()
	return p.carryOut(ctx, o, take)
}

// start starts a compiler process that knows the scripts of lib.
func (s *Service) start(ctx context.Context, lib *library) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.TimeLimit+killGrace)
	defer cancel()
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("starting the compiler process: %w", err)
	}
	return startProcess(ctx, s.opts.Executable, setup{
		Scripts: lib.scripts, Dir: dir, TimeLimit: s.opts.TimeLimit, MemoryLimit: s.opts.MemoryLimit,
		MaxTasks: s.opts.MaxTasks, MaxOutput: s.opts.MaxOutput,
	}, s.opts.Log)
}
