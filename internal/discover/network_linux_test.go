// SPDX-License-Identifier: GPL-3.0-or-later

package discover

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// insideVariable is set in the copy of the test program that has a network of its own.
const insideVariable = "FLAMENCO_TEST_INSIDE"

// inside runs the calling test once more in a network namespace of its own, where multicast bothers nobody, and reports
// whether this is that run. Its only network is 10.9.8.0/24, and this machine is 10.9.8.7 there.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	script := `set -e; ip link set lo up; ip link add v0 type veth peer name v1
ip addr add 10.9.8.7/24 dev v0; ip link set v0 up; ip link set v1 up; exec "$0" "$@"`
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), insideVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("in a network of its own (which needs the program ip and the right to make one): %v\n%s", err, output)
	}
	return false
}

func TestAnAdvertisedManagerIsFoundAndItsComingAndGoingIsAnnounced(t *testing.T) {
	t.Parallel()
	if !inside(t) {
		return
	}
	web, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })} //nolint:gosec // a test
	go func() { _ = server.Serve(web) }()
	defer server.Close()
	url := "http://10.9.8.7:" + strings.Split(web.Addr().String(), "]:")[1]

	v0, err := net.InterfaceByName("v0")
	if err != nil {
		t.Fatal(err)
	}
	heard, err := net.ListenMulticastUDP("udp4", v0, &net.UDPAddr{IP: net.IPv4(239, 255, 255, 250), Port: 1900})
	if err != nil {
		t.Fatal(err)
	}
	defer heard.Close()
	_ = heard.SetReadDeadline(time.Now().Add(time.Minute))
	hears := func(what string) string {
		t.Helper()
		packet := make([]byte, 2000)
		for {
			n, err := heard.Read(packet)
			if err != nil {
				t.Fatalf("%s was not announced: %v", what, err)
			}
			if text := string(packet[:n]); strings.HasPrefix(text, "NOTIFY * ") && strings.Contains(text, "NTS: "+what+"\r\n") {
				return text
			}
		}
	}

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	a := &Advertiser{Addr: web.Addr(), Version: "4.0.0", Log: quiet(t)}
	go func() { ended <- a.Run(ctx) }()
	alive := hears("ssdp:alive")
	for _, line := range []string{
		"NT: urn:flamenco:manager:0", "USN: uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d::urn:flamenco:manager:0",
		"LOCATION: " + url + "/upnp/description.xml", "CACHE-CONTROL: max-age=3600",
	} {
		if !strings.Contains(alive, line+"\r\n") {
			t.Errorf("%q is not announced in\n%s", line, alive)
		}
	}
	limited, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := (Search{Log: quiet(t)}).Find(limited); err != nil || got != url {
		t.Errorf("found %q, %v; want %s", got, err, url)
	}
	stop()
	hears("ssdp:byebye")
	if err := <-ended; err != context.Canceled { //nolint:errorlint // it is the cause itself
		t.Errorf("Run: %v", err)
	}
}
