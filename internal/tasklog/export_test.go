// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import "time"

// FrameSize is how much text a frame of a packed log holds.
const FrameSize = frameSize

// PackDelay is how long the Packer waits after a change.
const PackDelay = packDelay

// KeptOpen is how long a log stays open that nobody appends to.
const KeptOpen = keptOpen

// OpenLogs is how many logs of a Store in files are open to be appended to.
func (s *Store) OpenLogs() int {
	f, _ := s.place.(*files)
	f.logs.mu.Lock()
	defer f.logs.mu.Unlock()
	return len(f.logs.byTask)
}

// HoldLocks takes all locks of a Store in shared files, as a Manager that is frozen while it has them.
func (s *Store) HoldLocks() (free func(), err error) {
	f, _ := s.place.(*files)
	var held []func()
	free = func() {
		for _, unlock := range held {
			unlock()
		}
	}
	for n := range f.others.files {
		unlock, err := f.others.lock(n, time.Time{})
		if err != nil {
			free()
			return nil, err
		}
		held = append(held, unlock)
	}
	return free, nil
}

// Disk is how a Store changes files.
type Disk = disk

// OnDisk makes a Store change files through something else than its folder.
func (s *Store) OnDisk(wrap func(Disk) Disk) {
	f, _ := s.place.(*files)
	f.disk = wrap(f.disk)
}
