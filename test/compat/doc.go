// SPDX-License-Identifier: GPL-3.0-or-later

// Package compat holds the exchanges that programs made for Flamenco 3 have with a Manager, written from what those
// programs send and expect: every status code that a client can provoke, a Worker, an add-on, and our Worker under a
// Manager of Flamenco 3. Every answer is checked against the API document too. What must stay the same is here; how it
// works inside is tested where it is made.
package compat
