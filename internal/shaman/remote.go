// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

const (
	// remoteFolder is where uploaded files are in the blob.Store: <2 digits>/<the others>/<size>.blob. Beside a file that
	// was asked for long after it was stored is <size>.used, which is empty and as old as that.
	remoteFolder = "shaman"
	usedSuffix   = ".used"
	// deletingFolder holds an object for each batch of files that a collection is deleting just now.
	deletingFolder = "shaman-deleting"

	// pageSize is how many names the blob.Store lists with one request.
	pageSize = 1000
	// fewKeys is up to how many files of a folder of many are asked for one by one rather than by listing it.
	fewKeys = 2

	// deletingAge is when a batch that is being deleted is taken for the remains of a crash: longer than one can take.
	deletingAge = 2*batchTime + time.Minute
	// deletingPoll and deletingWait are how often it is looked whether a batch is deleted, and for how long.
	deletingPoll = 100 * time.Millisecond
	deletingWait = deletingAge + time.Minute
)

// remote is the uploaded files in a blob.Store, which any number of Managers share. The shared storage then holds copies of
// those that checkouts need.
//
// A file stays while its age is less than maxAge; it is as old as the younger of the file and the mark beside it. A
// collection deletes old ones in batches: it stores an object that names them, looks how old they are once more, deletes
// them, and deletes the object. Who relies on an old file first makes it young, then waits until no such object names it,
// then looks whether the file is there. So either the collection finds it young, or the file is found gone.
type remote struct {
	blobs  blob.Store
	maxAge time.Duration
}

// remoteFile is what the blob.Store has of a file.
type remoteFile struct {
	stored bool
	at     time.Time // when it was stored, or last asked for
	mark   bool      // there is a mark beside it
}

func (k Key) remoteFolder() string { return k.folder(remoteFolder) }

func (k Key) remoteBlob() string { return path.Join(k.remoteFolder(), fmt.Sprint(k.size)+blobSuffix) }

func (k Key) remoteUsed() string { return path.Join(k.remoteFolder(), fmt.Sprint(k.size)+usedSuffix) }

// parseRemote reads the name of a stored file or of its mark.
func parseRemote(name string) (k Key, used, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 4 || parts[0] != remoteFolder || len(parts[1]) != 2 {
		return Key{}, false, false
	}
	size, isBlob := strings.CutSuffix(parts[3], blobSuffix)
	if !isBlob {
		if size, used = strings.CutSuffix(parts[3], usedSuffix); !used {
			return Key{}, false, false
		}
	}
	k, ok = keyOf(parts[1]+parts[2], size)
	return k, used, ok
}

// note adds what was listed to what is known of a file.
func note(files map[Key]remoteFile, info blob.Info) {
	k, used, ok := parseRemote(info.Name)
	if !ok || !used && info.Size != k.size {
		return
	}
	f := files[k]
	f.stored, f.mark = f.stored || !used, f.mark || used
	if info.Modified.After(f.at) {
		f.at = info.Modified
	}
	files[k] = f
}

// look finds out which of the files are stored. Many are looked for by listing whole folders, several at a time, unless
// those hold far more than was asked for.
func (r *remote) look(ctx context.Context, keys []Key) (map[Key]remoteFile, error) {
	byFolder := map[string][]Key{}
	for _, k := range keys {
		byFolder[k.sum[:2]] = append(byFolder[k.sum[:2]], k)
	}
	type step struct {
		folder string
		keys   []Key
		pages  int // to list at most, 0 = all
	}
	var steps []step
	for first, wanted := range byFolder {
		if len(wanted) > fewKeys {
			steps = append(steps, step{path.Join(remoteFolder, first), wanted, len(wanted)})
			continue
		}
		for _, k := range wanted {
			steps = append(steps, step{k.remoteFolder(), []Key{k}, 0})
		}
	}
	found := make([]map[Key]remoteFile, len(steps))
	err := parallel(ctx, len(steps), func(i int) error {
		here := map[Key]remoteFile{}
		whole, err := r.list(ctx, steps[i].folder, steps[i].pages, here)
		for n := 0; n < len(steps[i].keys) && err == nil && !whole; n++ {
			_, err = r.list(ctx, steps[i].keys[n].remoteFolder(), 0, here)
		}
		found[i] = here
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make(map[Key]remoteFile, len(keys))
	for i, here := range found {
		for _, k := range steps[i].keys {
			if f, there := here[k]; there {
				all[k] = f
			}
		}
	}
	return all, nil
}

// list notes what is in a folder, of no more pages than said if that is not 0; whole is false if there are more.
func (r *remote) list(ctx context.Context, folder string, pages int, files map[Key]remoteFile) (whole bool, err error) {
	n := 0
	for info, err := range r.blobs.List(ctx, folder) {
		if err != nil {
			return false, remoteError(err)
		}
		if n++; pages > 0 && n > pages*pageSize {
			return false, nil
		}
		note(files, info)
	}
	return true, nil
}

// ask finds out which files are stored, and keeps those that are from being collected soon.
func (r *remote) ask(ctx context.Context, keys []Key) (map[Key]bool, error) {
	files, err := r.look(ctx, keys)
	if err != nil {
		return nil, err
	}
	var old []Key
	stored := make(map[Key]bool, len(files))
	for k, f := range files {
		if stored[k] = f.stored; f.stored && time.Since(f.at) > r.maxAge/4 {
			old = append(old, k)
		}
	}
	if len(old) == 0 {
		return stored, nil
	}
	err = parallel(ctx, len(old), func(i int) error {
		_, err := r.blobs.Put(ctx, old[i].remoteUsed(), strings.NewReader(""))
		return err
	})
	if err == nil {
		err = r.settled(ctx, old)
	}
	if err != nil {
		return nil, remoteError(err)
	}
	if files, err = r.look(ctx, old); err != nil {
		return nil, err
	}
	for _, k := range old {
		stored[k] = files[k].stored
	}
	return stored, nil
}

// settled waits until no collection is deleting one of the files.
func (r *remote) settled(ctx context.Context, keys []Key) error {
	ctx, cancel := context.WithTimeout(ctx, deletingWait)
	defer cancel()
	wanted := make(map[string]bool, len(keys))
	for _, k := range keys {
		wanted[k.String()] = true
	}
	concerned := map[string]bool{} // whether a batch has one of the files
	for {
		busy := false
		for info, err := range r.blobs.List(ctx, deletingFolder) {
			if err != nil {
				return err
			}
			if time.Since(info.Modified) > deletingAge {
				continue
			}
			if _, known := concerned[info.Name]; !known {
				if concerned[info.Name], err = r.names(ctx, info.Name, wanted); err != nil {
					return err
				}
			}
			busy = busy || concerned[info.Name]
		}
		if !busy {
			return nil
		}
		timer := time.NewTimer(deletingPoll)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("shaman: waiting for files to be deleted: %w", context.Cause(ctx))
		}
	}
}

// names reports whether a batch that is being deleted has one of the files.
func (r *remote) names(ctx context.Context, name string, wanted map[string]bool) (bool, error) {
	body, _, err := r.blobs.Get(ctx, name, 0, -1)
	if err != nil {
		return false, ignoreGone(err) // it is done with
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if wanted[lines.Text()] {
			return true, nil
		}
	}
	return false, lines.Err()
}

func ignoreGone(err error) error {
	if farm.IsNotExist(err) {
		return nil
	}
	return err
}

// store stores a file whose content is known to be right.
func (r *remote) store(ctx context.Context, k Key, content io.Reader) (Outcome, error) {
	_, err := r.blobs.Create(ctx, k.remoteBlob(), content)
	switch {
	case errors.Is(err, blob.ErrExist):
		return AlreadyStored, nil
	case err != nil:
		return 0, remoteError(err)
	}
	return Accepted, nil
}

// open reads a stored file.
func (r *remote) open(ctx context.Context, k Key) (io.ReadCloser, error) {
	body, _, err := r.blobs.Get(ctx, k.remoteBlob(), 0, -1)
	return body, err
}

// remoteError is the failure of the blob.Store as a user may see it.
func remoteError(err error) error {
	if err == nil || farm.CodeOf(err) != "" || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the storage of files fails; the Manager's log says why"), err)
}
