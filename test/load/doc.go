// SPDX-License-Identifier: GPL-3.0-or-later

// Package load is the parent of what measures a farm under load: drivers that speak only the public API, the bare ceiling
// that they are compared with, and the suite that runs them all. docs/performance.md says how to use them.
package load
