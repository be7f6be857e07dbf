// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import "testing"

func TestTextsAreReadAsEveryDatabaseStoresThem(t *testing.T) {
	t.Parallel()
	for _, value := range []any{"a\x00b\xff", []byte("a\x00b\xff")} {
		r := row{columns: []string{"name"}, values: []any{value}}
		if got := r.text("name"); got != "a\uFFFDb\uFFFD" {
			t.Errorf("%q is read as %q", value, got)
		}
	}
}
