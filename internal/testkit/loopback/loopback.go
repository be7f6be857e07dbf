// SPDX-License-Identifier: GPL-3.0-or-later

// Package loopback owns addresses of this machine for servers of tests that have to know them before they listen. It must not
// know what listens there.
package loopback

import (
	"net"
	"testing"
)

// FreeAddress finds an address that nobody listens on, for a program that has to come back to it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
