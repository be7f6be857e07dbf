// SPDX-License-Identifier: GPL-3.0-or-later

package volume_test

import (
	"testing"

	"flamenco.farm/internal/volume"
)

func TestALocalFolderHasSpaceAndIsOnNoNetwork(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if free, err := volume.Free(folder); err != nil || free <= 0 {
		t.Errorf("free space: %d, %v; want some", free, err)
	}
	if kind := volume.Network(folder); kind != "" {
		t.Errorf("a temporary folder is said to be on %s", kind)
	}
}

func TestAFolderThatIsMissingHasNoFreeSpace(t *testing.T) {
	t.Parallel()
	if _, err := volume.Free(t.TempDir() + "/missing"); err == nil {
		t.Error("no error")
	}
}
