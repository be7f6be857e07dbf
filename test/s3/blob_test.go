// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"testing"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/blobtest"
)

func TestABucketIsAPlaceForFiles(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return newStore(t) })
}
