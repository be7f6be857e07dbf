// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package tasklog

import "errors"

// syncFolder makes the names in a folder last.
func (s *files) syncFolder(name string) error {
	folder, err := s.root.Open(name)
	if err != nil {
		return gone(err)
	}
	return errors.Join(folder.Sync(), folder.Close())
}
