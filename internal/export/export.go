// SPDX-License-Identifier: GPL-3.0-or-later

// Package export owns the file that a farm is exported to: its lines, its compression, and how one sees that all of it is
// there and nothing was altered. It must not know which tables there are, nor what is in them.
//
// The file is Zstandard; inside are lines of JSON. The first is the header. Then comes each table as a line that names it
// and its columns, followed by its rows, one array a line. The last line says how many rows each table has, and the
// SHA-256 of all lines between it and the header. The header has a sum of its own and is compressed apart, so that two
// exports of the same rows are the same bytes behind it.
//
// A value is a whole number, true, false, null or a text. Every value has exactly one form: numbers have all their
// digits, and a text that is not UTF-8 is {"base64":"…"}.
package export

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"flamenco.farm/internal/farm"
)

// ContentType is what an export is over HTTP.
const ContentType = "application/zstd"

// formatName begins every export, and formatVersion grows when an older program could not read it any more.
const (
	formatName    = "flamenco-farm"
	formatVersion = 1
)

const (
	// window is how far back compression looks, in bytes: what a reader has to hold.
	window    = 1 << 20
	maxWindow = 8 * window

	// maxLine is how long a line may be: a job's settings may have 64 MiB, and become longer by quoting.
	maxLine   = 256 << 20
	maxHeader = 64 << 10

	// maxRatio is how many times larger than the file its lines may be, beyond a first maxFree bytes.
	maxRatio = 2000
	maxFree  = 16 << 20
)

// Header is the first line.
type Header struct {
	Format   string    `json:"format"`
	Version  int       `json:"version"`
	Schema   int64     `json:"schema"`   // version of the schema of the database
	Flamenco string    `json:"flamenco"` // version of the program that wrote it
	Exported time.Time `json:"exported"`
	Farm     string    `json:"farm"`   // id of the farm
	Engine   string    `json:"engine"` // kind of the database
	SHA256   string    `json:"sha256"` // of this line with "" here
}

// line is the header as it is written.
func (h Header) line() ([]byte, error) {
	h.SHA256 = ""
	bare, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(bare)
	h.SHA256 = hex.EncodeToString(sum[:])
	line, err := json.Marshal(h)
	return append(line, '\n'), err
}

// tableLine begins a table.
type tableLine struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// endLine is the last.
type endLine struct {
	End end `json:"end"`
}

type end struct {
	Rows   map[string]int64 `json:"rows"`
	SHA256 string           `json:"sha256"`
}

func invalid(format string, args ...any) error { return farm.Errorf(farm.CodeInvalid, format, args...) }

var errCutOff = farm.Errorf(farm.CodeInvalid, "the file is not complete: its end is missing")
