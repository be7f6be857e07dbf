// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"net"
	"slices"
	"strconv"

	"flamenco.farm/internal/discover"
)

// addresses are the web addresses behind which the Manager answers: the one it listens on, or those of all networks.
func addresses(addr net.Addr) []string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return []string{addr.String()}
	}
	urls := discover.URLs(addr)
	if tcp.IP.IsUnspecified() {
		urls = append(urls, "http://"+net.JoinHostPort("localhost", strconv.Itoa(tcp.Port)))
	}
	for i, url := range urls {
		urls[i] = url + "/"
	}
	return slices.Compact(urls)
}
