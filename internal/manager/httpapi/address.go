// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// clientAddress is the IP address of the client. What a proxy says of it is believed only of one on this machine:
// everybody can send such headers.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	peer, err := netip.ParseAddr(host)
	if err != nil || !peer.Unmap().IsLoopback() {
		return host
	}
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-For"), ",")
	for _, named := range []string{first, r.Header.Get("X-Real-Ip")} {
		if address, err := netip.ParseAddr(strings.TrimSpace(named)); err == nil {
			return address.Unmap().String()
		}
	}
	return host
}
