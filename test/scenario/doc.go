// SPDX-License-Identifier: GPL-3.0-or-later

// Package scenario holds tests of whole farms when things go wrong: bad networks, programs that are killed, a Manager
// that is away, a database that somebody else keeps locked. What the farm wrote down is checked against what ran.
package scenario
