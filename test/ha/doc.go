// SPDX-License-Identifier: GPL-3.0-or-later

// Package ha holds tests of two real Managers on one PostgreSQL behind HAProxy and nginx, which run with the examples in
// deploy. Workers, browsers and scripts go on whatever happens to one of the Managers.
package ha
