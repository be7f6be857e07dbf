// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"path/filepath"
	"testing"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/file"
	"flamenco.farm/internal/shaman/shamantest"
)

func TestUploadedFilesInObjects(t *testing.T) {
	t.Parallel()
	shamantest.Run(t, func(t *testing.T) blob.Store {
		blobs, err := file.New(filepath.Join(t.TempDir(), "blobs"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { blobs.Close() })
		return blobs
	})
}
