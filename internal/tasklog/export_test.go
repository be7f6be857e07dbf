// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

// FrameSize is how much text a frame of a packed log holds.
const FrameSize = frameSize

// PackDelay is how long the Packer waits after a change.
const PackDelay = packDelay

// Disk is how a Store changes files.
type Disk = disk

// OnDisk makes a Store change files through something else than its folder.
func (s *Store) OnDisk(wrap func(Disk) Disk) {
	f, _ := s.place.(*files)
	f.disk = wrap(f.disk)
}
