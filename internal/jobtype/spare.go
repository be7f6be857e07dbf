// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import "context"

// Run keeps one compiler process ready, so that a submission does not wait for one to start, until ctx ends. It returns
// nil then; a process that cannot be started is logged and tried again with the next submission.
func (s *Service) Run(ctx context.Context) error {
	defer s.dropSpare()
	for {
		if err := s.makeSpare(ctx); err != nil && ctx.Err() == nil {
			s.opts.Log.Warn("no compiler process is kept ready", "error", err)
		}
		select {
		case <-s.taken:
		case <-ctx.Done():
			return nil
		}
	}
}

// makeSpare starts a process and waits until it is ready, unless there is a good one.
func (s *Service) makeSpare(ctx context.Context) error {
	lib, err := s.library(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	good := s.spare != nil && s.spareLib == lib
	s.mu.Unlock()
	if good {
		return nil
	}
	p, err := s.start(ctx, lib)
	if err != nil {
		return err
	}
	if err := p.awaitReady(ctx); err != nil {
		p.end()
		return err
	}
	s.dropSpare()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare, s.spareLib = p, lib
	return nil
}

// takeSpare returns the process that is kept ready if it knows just the scripts of lib, or nil. Run makes another one.
func (s *Service) takeSpare(lib *library) *process {
	select {
	case s.taken <- struct{}{}:
	default: // Run has been told already
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spareLib != lib {
		return nil
	}
	p := s.spare
	s.spare, s.spareLib = nil, nil
	return p
}

func (s *Service) dropSpare() {
	s.mu.Lock()
	p := s.spare
	s.spare, s.spareLib = nil, nil
	s.mu.Unlock()
	if p != nil {
		p.end()
	}
}
