// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import "context"

// Required is a file that the store does not have.
type Required struct {
	File
	Status Status // Unknown or Uploading
}

// Requirements is what of the files has to be uploaded before they can be checked out, each content once and with its
// first path. Those that are stored are kept from being collected soon.
func (s *Store) Requirements(ctx context.Context, files []File) ([]Required, error) {
	if err := checkRequest(files); err != nil {
		return nil, err
	}
	root, err := s.open()
	if err != nil {
		return nil, err
	}
	defer root.Close()

	seen := make(map[Key]bool, len(files))
	all := make([]Required, 0, len(files))
	for _, f := range files {
		if !seen[f.Key] {
			seen[f.Key] = true
			all = append(all, Required{File: f})
		}
	}
	status := func(k Key) (Status, error) { return s.status(ctx, root, k) }
	if s.remote != nil {
		keys := make([]Key, len(all))
		for i, f := range all {
			keys[i] = f.Key
		}
		stored, err := s.remote.ask(ctx, keys) // all at once
		if err != nil {
			return nil, err
		}
		status = func(k Key) (Status, error) {
			if stored[k] {
				return Stored, nil
			}
			return unstored(root, k)
		}
	}
	err = parallel(ctx, len(all), func(i int) (err error) {
		all[i].Status, err = status(all[i].Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	required := all[:0]
	for _, r := range all {
		if r.Status != Stored {
			required = append(required, r)
		}
	}
	return required, nil
}
