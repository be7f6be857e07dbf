// SPDX-License-Identifier: GPL-3.0-or-later

// Package discover lets the programs of a farm find its Manager in the local network, by SSDP: the Manager advertises
// itself and answers searches, Workers and the command line search. The names on the wire are those of Flamenco 3, so
// that either side may be of that version.
//
// It owns what is sent and what is believed of what comes. It must not know what is done with the address of a Manager,
// nor anything of the API but that GET /api/v3/version answers 200.
package discover

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// The names of a Manager on the wire.
const (
	ServiceType     = "urn:flamenco:manager:0"
	device          = "uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d"
	USN             = device + "::" + ServiceType
	DescriptionPath = "/upnp/description.xml"
)

// group is where searches and advertisements go.
const group = "239.255.255.250:1900"

// maxAge is how long an advertisement is good for.
const maxAge = time.Hour

// baseURL makes the address of a Manager of the location that it advertises, in which only the path is of no use.
func baseURL(location string) (string, error) {
	u, err := url.Parse(location)
	if err != nil {
		return "", fmt.Errorf("read the location of a Manager: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil {
		return "", errors.New("read the location of a Manager: it is no web address")
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host}).String(), nil
}

// URLs are the addresses of a Manager that listens at addr, without a path: that of the host if it listens on one, else
// those of all networks of this machine, IPv4 before IPv6; the loopback ones only when there are no others.
func URLs(addr net.Addr) []string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return nil
	}
	hosts := []netip.Addr{tcp.AddrPort().Addr().Unmap()}
	if !hosts[0].IsValid() || hosts[0].IsUnspecified() {
		hosts = ownAddresses()
	}
	urls := make([]string, 0, len(hosts))
	for _, host := range hosts {
		urls = append(urls, "http://"+net.JoinHostPort(host.String(), strconv.Itoa(tcp.Port)))
	}
	return urls
}

// ownAddresses are those of the networks that are up.
func ownAddresses() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var all []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			continue // it has just gone
		}
		for _, a := range addresses {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				all = append(all, prefix.Addr().Unmap())
			}
		}
	}
	return usable(all)
}

// usable picks the addresses that others can use.
func usable(all []netip.Addr) []netip.Addr {
	usable := slices.DeleteFunc(slices.Clone(all), func(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() })
	if far := slices.DeleteFunc(slices.Clone(usable), netip.Addr.IsLoopback); len(far) > 0 {
		usable = far
	}
	slices.SortStableFunc(usable, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return usable
}

// description is what a Manager says of itself at DescriptionPath, in the words of UPnP.
type description struct {
	XMLName      xml.Name `xml:"urn:schemas-upnp-org:device-1-0 root"`
	Major        int      `xml:"specVersion>major"`
	Minor        int      `xml:"specVersion>minor"`
	Type         string   `xml:"device>deviceType"`
	Name         string   `xml:"device>friendlyName"`
	Manufacturer string   `xml:"device>manufacturer"`
	Model        string   `xml:"device>modelName"`
	Version      string   `xml:"device>modelNumber"`
	UDN          string   `xml:"device>UDN"`
	Page         string   `xml:"device>presentationURL"`
}

// Description is what is served at DescriptionPath.
func Description(managerName, version string) ([]byte, error) {
	text, err := xml.MarshalIndent(description{
		Major: 1, Type: ServiceType, Name: managerName, Manufacturer: "Flamenco", Model: "Flamenco Manager", Version: version,
		UDN: device, Page: "/",
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("describe the Manager: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}
