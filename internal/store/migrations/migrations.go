// SPDX-License-Identifier: GPL-3.0-or-later

// Package migrations holds the database schema, one folder per engine with equal file names.
// A file that shipped is never edited.
package migrations

import "embed"

// FS holds the folders sqlite and postgres.
//
//go:embed sqlite/*.sql postgres/*.sql
var FS embed.FS
