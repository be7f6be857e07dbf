// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog_test

import (
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// decompress reads Zstandard as any program does.
func decompress(t *testing.T, packed io.Reader) string {
	t.Helper()
	reader, err := zstd.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	text, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
