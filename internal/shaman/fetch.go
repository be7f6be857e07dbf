// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"flamenco.farm/internal/farm"
)

// fetchAtOnce is how many files a checkout fetches at the same time.
const fetchAtOnce = 8

// fetchAll gets into the shared storage what is stored elsewhere and missing here.
func (c *checkout) fetchAll(ctx context.Context) error {
	wanted := make(map[Key]bool, len(c.files))
	for _, f := range c.files {
		wanted[f.Key] = true
	}
	keys := make([]Key, 0, len(wanted))
	for k := range wanted {
		keys = append(keys, k)
	}
	places := make(chan struct{}, fetchAtOnce)
	return parallel(ctx, len(keys), func(i int) error {
		there, err := rescue(c.store, keys[i])
		if there {
			c.touch(c.store, keys[i])
		}
		if there || err != nil {
			return err
		}
		places <- struct{}{}
		defer func() { <-places }()
		_, err = c.fetch(ctx, keys[i])
		return err
	})
}

// fetch gets a file that is stored elsewhere into the shared storage; false if it is not stored.
func (c *checkout) fetch(ctx context.Context, k Key) (bool, error) {
	free, err := c.free(c.Store.store)
	if err == nil && free >= 0 && k.size > free-spareSpace {
		return false, farm.Errorf(farm.CodeStorage, "the shared storage has no space for a file of %d bytes: %d are free, of which %d stay free", k.size, free, spareSpace)
	}
	body, err := c.remote.open(ctx, k)
	if farm.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, remoteError(err)
	}
	defer body.Close()
	tmp, err := createUpload(c.store, k)
	if err != nil {
		return false, storageError(err)
	}
	name := uploadName(k, tmp)
	defer func() {
		tmp.Close() // a second time if all went well
		c.store.Remove(name)
		c.store.Remove(path.Dir(name))
	}()
	if err := c.receiveStored(ctx, k, tmp, body); err != nil {
		return false, err
	}
	_, err = commit(c.store, k, name)
	return err == nil, wrapStorage(err)
}

// receiveStored copies a stored file, which may have been damaged since.
func (c *checkout) receiveStored(ctx context.Context, k Key, tmp *os.File, body io.Reader) error {
	in := incoming{key: k, tmp: tmp, sum: sha256.New(), storedByOthers: func() (bool, error) { return false, nil }}
	_, err := in.copy(ctx, body)
	switch code := farm.CodeOf(err); {
	case code == farm.CodeMismatch:
		return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the stored file %s is damaged; delete the object %s and submit again", k, k.remoteBlob()), err)
	case code == farm.CodeInvalid:
		return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "the stored file %s cannot be fetched; try again", k), err)
	case err != nil:
		return err
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return storageError(err)
	}
	return nil
}
