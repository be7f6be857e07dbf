// SPDX-License-Identifier: GPL-3.0-or-later

// Package version says which build of Flamenco this is. It knows nothing else and imports nothing, so that every
// program and every test of it may ask.
package version

// Version is the release, such as "4.0.0". Commit is the short hash of the source, empty when that is not known.
// Both are set by the linker (see VERSION_FLAGS in the Makefile), which can only set variables: treat them as constants.
var (
	Version = "4.0.0-dev"
	Commit  = ""
)

// String is the version for people: "4.0.0-dev (abc1234)", or without the part in brackets when the commit is not known.
func String() string {
	if Commit == "" {
		return Version
	}
	return Version + " (" + Commit + ")"
}
