// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// addresses are the web addresses behind which the Manager answers: the one it listens on, or those of all networks.
func addresses(addr net.Addr) []string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return []string{addr.String()}
	}
	if !tcp.IP.IsUnspecified() {
		return []string{url(tcp.AddrPort().Addr().Unmap(), tcp.Port)}
	}
	var urls []string
	for _, ip := range ownAddresses() {
		urls = append(urls, url(ip, tcp.Port))
	}
	return append(urls, "http://"+net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))+"/")
}

func url(ip netip.Addr, port int) string {
	return "http://" + net.JoinHostPort(ip.String(), strconv.Itoa(port)) + "/"
}

// ownAddresses are the addresses of this machine that others can use, IPv4 first.
func ownAddresses() []netip.Addr {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var own []netip.Addr
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if ip := prefix.Addr().Unmap(); err == nil && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			own = append(own, ip)
		}
	}
	slices.SortStableFunc(own, netip.Addr.Compare)
	return own
}
