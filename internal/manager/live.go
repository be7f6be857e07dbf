// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/setup"
	"flamenco.farm/internal/variables"
)

// follow takes changes of the configuration to those parts of the Manager that do not ask for it each time, and returns
// the variables as they are at any moment. jobsFolder is where the files of jobs are; it takes a restart to change it.
func (m *Manager) follow(scheduler *sched.Service, jobsFolder string) func() *variables.Set {
	var current atomic.Pointer[variables.Set]
	m.opts.Live.Subscribe(func(cfg config.Config) {
		scheduler.SetLimits(sched.Limits{
			TaskTimeout: cfg.TaskTimeout, RequestHold: cfg.TaskRequestHold,
			BlocklistThreshold: cfg.BlocklistThreshold, SoftFailLimit: cfg.TaskFailAfterSoftFails,
		})
		current.Store(variables.New(cfg.Variables, filepath.ToSlash(jobsFolder)))
	})
	return current.Load
}

// setupAssistant works on the machine and the configuration of this Manager. What it saves makes the Manager restart.
func (m *Manager) setupAssistant() *setup.Assistant {
	return setup.New(setup.Options{
		Base:    m.opts.Live.Folder(),
		Install: m.opts.Live.ExecutableFolder(),
		MayRun: func(program string) bool {
			cfg := m.opts.Live.Current()
			return cfg.FirstRun || slices.Contains(configuredBlenders(cfg), program)
		},
		Save: func(sharedStorage string, blender map[string]string) error {
			if err := m.opts.Live.SetUp(sharedStorage, blender); err != nil {
				return err
			}
			select {
			case m.restart <- struct{}{}:
			default: // it is going to already
			}
			return nil
		},
	})
}

// configuredBlenders are the programs that somebody on this machine may mean by Blender.
func configuredBlenders(cfg config.Config) []string {
	set := variables.New(cfg.Variables, "")
	var programs []string
	for _, audience := range []variables.Audience{variables.ForWorkers, variables.ForUsers} {
		if blender, ok := set.Resolve(audience, runtime.GOOS)["blender"]; ok {
			programs = append(programs, blender.Value)
		}
	}
	return programs
}

// untilRestart ends when the Manager has to.
func (m *Manager) untilRestart(ctx context.Context) error {
	select {
	case <-m.restart:
		return ErrRestart
	case <-ctx.Done():
		return nil
	}
}
