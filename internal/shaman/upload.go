// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
)

const (
	tmpSuffix = ".tmp"

	// liveAge is how long ago a part of an upload may have come for it to count as one that goes on.
	liveAge = 2 * time.Minute
	// spareSpace is what uploads leave free on the disk, in bytes.
	spareSpace = 64 << 20
	// chunk is how much of an upload is read at once, and lookAfter how much of it until the next look whether somebody
	// else has stored the file, in bytes.
	chunk     = 256 << 10
	lookAfter = 4 << 20

	// raceTries is how often something is done again because others removed an empty folder just then.
	raceTries = 20
)

// Upload is a file that comes in.
type Upload struct {
	Key      Key
	CanDefer bool   // the client can send it later, should somebody be sending it already
	Name     string // what the client calls it, for the log
}

// Outcome is what became of an upload that did not fail.
type Outcome int

// The outcomes.
const (
	Accepted      Outcome = iota // the store has it now
	AlreadyStored                // the store had it, or got it from somebody else meanwhile
)

// Upload stores the content of a file. It is there whole or not at all, whatever happens. The codes of errors are
// farm.CodeUploading if the client should come back later, farm.CodeMismatch if the content is not what the key says,
// farm.CodeStorage if there is no space, and farm.CodeInvalid if the body breaks off.
func (s *Store) Upload(ctx context.Context, u Upload, body io.Reader) (Outcome, error) {
	root, err := s.open()
	if err != nil {
		return 0, err
	}
	defer root.Close()
	if s.remote != nil { // a collection that is at it must not delete what is uploaded now
		if err := s.remote.settled(ctx, []Key{u.Key}); err != nil {
			return 0, remoteError(err)
		}
	}
	switch status, err := s.status(ctx, root, u.Key); {
	case err != nil:
		return 0, err
	case status == Stored:
		return AlreadyStored, nil
	case status == Uploading && u.CanDefer:
		return 0, farm.Errorf(farm.CodeUploading, "somebody is uploading this file already")
	}
	if err := s.checkSpace(u.Key.size); err != nil {
		return 0, err
	}
	return s.receive(ctx, root, u, body)
}

func (s *Store) checkSpace(size int64) error {
	free, err := s.free(s.store)
	if err != nil {
		return storageError(err)
	}
	if free >= 0 && size > free-spareSpace {
		return farm.Errorf(farm.CodeStorage, "the shared storage has no space for a file of %d bytes: %d are free, of which %d stay free", size, free, spareSpace)
	}
	return nil
}

// receive writes the body to a temporary file, and gives that the name of the stored one when it turns out to be right.
func (s *Store) receive(ctx context.Context, root *os.Root, u Upload, body io.Reader) (_ Outcome, err error) {
	tmp, err := createUpload(root, u.Key)
	if err != nil {
		return 0, storageError(err)
	}
	name := uploadName(u.Key, tmp)
	defer func() {
		tmp.Close() // a second time if all went well
		root.Remove(name)
		root.Remove(path.Dir(name)) // unless somebody else uploads the same
	}()
	in := incoming{key: u.Key, tmp: tmp, sum: sha256.New(), storedByOthers: func() (bool, error) { return s.stored(ctx, root, u.Key) }}
	outcome, err := in.copy(ctx, body)
	if err != nil || outcome == AlreadyStored {
		return outcome, err
	}
	if err := tmp.Sync(); err != nil {
		return 0, storageError(err)
	}
	if s.remote != nil {
		if outcome, err = s.send(ctx, root, u.Key, name); err != nil {
			return 0, err
		}
	}
	if err := tmp.Close(); err != nil {
		return 0, storageError(err)
	}
	here, err := commit(root, u.Key, name)
	if err != nil {
		return 0, storageError(err)
	}
	if s.remote == nil {
		outcome = here
	}
	s.log.Debug("Shaman: file stored", "file", u.Key.String(), "name", u.Name)
	return outcome, nil
}

// send stores a temporary file that has turned out to be right in the blob.Store. What the shared storage keeps is a copy.
func (s *Store) send(ctx context.Context, root *os.Root, k Key, name string) (Outcome, error) {
	content, err := root.Open(name)
	if err != nil {
		return 0, storageError(err)
	}
	defer content.Close()
	return s.remote.store(ctx, k, content)
}

// createUpload makes the temporary file. Its folder may be removed by an upload that has just ended.
func createUpload(root *os.Root, k Key) (*os.File, error) {
	folder := k.folder(uploadingFolder)
	name := path.Join(folder, strconv.FormatInt(k.size, 10)+"-"+rand.Text()+tmpSuffix)
	var f *os.File
	return f, retry(func() error {
		if err := root.MkdirAll(folder, folderMode); err != nil {
			return err
		}
		var err error
		f, err = root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		return err
	})
}

// uploadName is the name of a temporary file in the store.
func uploadName(k Key, f *os.File) string {
	return path.Join(k.folder(uploadingFolder), path.Base(strings.ReplaceAll(f.Name(), `\`, "/")))
}

// retry does something again while a folder that it needs is removed by others, who remove empty ones. To make folders
// while that happens may fail by saying that one is there.
func retry(do func() error) error {
	var err error
	for range raceTries {
		if err = do(); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return err
}

// incoming is the content of an upload on its way.
type incoming struct {
	key            Key
	tmp            *os.File
	sum            hash.Hash
	storedByOthers func() (bool, error) // asked now and then
}

// copy writes the body and checks it. It gives up early when somebody else has stored the file.
func (in *incoming) copy(ctx context.Context, body io.Reader) (Outcome, error) {
	buffer := make([]byte, chunk)
	var size, looked int64
	for {
		n, end := body.Read(buffer)
		size += int64(n)
		if size > in.key.size {
			return 0, farm.Errorf(farm.CodeMismatch, "the content is longer than %d bytes", in.key.size)
		}
		in.sum.Write(buffer[:n])
		if _, err := in.tmp.Write(buffer[:n]); err != nil {
			return 0, storageError(err)
		}
		switch {
		case end == io.EOF:
			return 0, in.check(size)
		case end != nil:
			return 0, fmt.Errorf("%w: %w", farm.Errorf(farm.CodeInvalid, "the content breaks off after %d bytes", size), end)
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		if size-looked >= lookAfter {
			looked = size
			if there, err := in.storedByOthers(); err == nil && there {
				return AlreadyStored, nil
			}
		}
	}
}

// check compares what came with what was announced.
func (in *incoming) check(size int64) error {
	if size != in.key.size {
		return farm.Errorf(farm.CodeMismatch, "the content has %d bytes, not %d", size, in.key.size)
	}
	if sum := hex.EncodeToString(in.sum.Sum(nil)); sum != in.key.sum {
		return farm.Errorf(farm.CodeMismatch, "the content has the SHA-256 sum %s, not %s", sum, in.key.sum)
	}
	return nil
}

// commit makes the temporary file the stored one, unless that is there by now.
func commit(root *os.Root, k Key, tmp string) (Outcome, error) {
	outcome := Accepted
	err := retry(func() error {
		_, there, err := present(root, k)
		if err != nil {
			return err
		}
		if there {
			outcome = AlreadyStored
			return nil
		}
		if err := root.MkdirAll(k.folder(storedFolder), folderMode); err != nil {
			return err
		}
		return root.Rename(tmp, k.blob())
	})
	if err != nil || outcome == AlreadyStored {
		return outcome, err
	}
	// The folder is gone if a collection that keeps nothing has taken the file already.
	return outcome, ignoreMissing(syncFolder(root, k.folder(storedFolder)))
}

// beingUploaded reports whether somebody, here or in another process, is uploading the file. One that has got nothing for
// a while is not waited for.
func beingUploaded(root *os.Root, k Key) (bool, error) {
	folder := k.folder(uploadingFolder)
	entries, err := readDir(root, folder)
	if err != nil {
		return false, err
	}
	prefix := strconv.FormatInt(k.size, 10) + "-"
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		if info, err := root.Lstat(path.Join(folder, e.Name())); err == nil && age(info) < liveAge {
			return true, nil
		}
	}
	return false, nil
}
