// SPDX-License-Identifier: GPL-3.0-or-later

// Package chaos holds the test in which everything goes wrong at once: Managers and Workers that are killed or stand
// still, connections that break, messages that come twice and late, a database that restarts. What the farm wrote down and
// what its Workers saw must agree afterwards: every task counted once, none lost, and none that must not run twice did.
package chaos
