// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"testing"

	"flamenco.farm/internal/store/storetest"
)

func TestAStoreOnSQLiteConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.SQLite)
}
