// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import "os"

// SetFree says how much space the disk has.
func (s *Store) SetFree(bytes int64) { s.free = func(string) (int64, error) { return bytes, nil } }

// SetChars says what a taken name gets behind it.
func (s *Store) SetChars(chars func() string) { s.chars = chars }

// Without makes the first n ways to lay out a file fail.
func (s *Store) Without(n int, err error) {
	for i := range n {
		s.ways[i].lay = func(*checkout, *os.Root, File) error { return err }
	}
}

// Meanwhile does something just before a file is laid out.
func (s *Store) Meanwhile(do func(path string) error) {
	for i, w := range s.ways {
		s.ways[i].lay = func(c *checkout, to *os.Root, f File) error {
			if err := do(f.Path); err != nil {
				return err
			}
			return w.lay(c, to, f)
		}
	}
}

// Aside moves a stored file to where a collection that is killed leaves it.
func (s *Store) Aside(k Key) error {
	root, err := s.open()
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(collectingFolder+"/killed", folderMode); err != nil {
		return err
	}
	return root.Rename(k.blob(), collectingFolder+"/killed/"+k.String())
}

var (
	CheckFilePath = checkFilePath
	BlobKey       = blobKey
)
