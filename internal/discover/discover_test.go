// SPDX-License-Identifier: GPL-3.0-or-later

package discover

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// network answers every search with these packets. It is a socket of this machine: nothing leaves it.
type network struct {
	conn *net.UDPConn

	mu    sync.Mutex
	asked [][]byte
}

func newNetwork(t *testing.T, packets ...string) *network {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	n := &network{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 2000)
		for {
			size, from, err := conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			n.mu.Lock()
			n.asked = append(n.asked, bytes.Clone(buffer[:size]))
			n.mu.Unlock()
			for _, p := range packets {
				_, _ = conn.WriteTo([]byte(p), from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return n
}

func (n *network) search(t *testing.T) Search {
	t.Helper()
	return Search{Log: quiet(t), target: n.conn.LocalAddr().(*net.UDPAddr), interval: 20 * time.Millisecond}
}

func quiet(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func answerOf(location string) string {
	return "HTTP/1.1 200 OK\r\nEXT: \r\nST: " + ServiceType + "\r\nUSN: " + USN + "\r\nLOCATION: " + location +
		"\r\nCACHE-CONTROL: max-age=3600\r\n\r\n"
}

// manager answers GET /api/v3/version with this status, and everything else with 404.
func manager(t *testing.T, status int) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v3/version" {
			status = http.StatusNotFound
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestTheFirstManagerThatReallyAnswersIsFound(t *testing.T) {
	t.Parallel()
	good := manager(t, 200)
	n := newNetwork(
		t,
		"rubbish", "HTTP/1.1 200 OK\r\nUSN: uuid:another::urn:thing:0\r\nLOCATION: "+good+"/\r\n\r\n",
		answerOf("http://127.0.0.1:1/upnp/description.xml"), // nobody there
		answerOf("ftp://127.0.0.1/"), answerOf(""), answerOf("http:///upnp/description.xml"),
		answerOf(manager(t, 503)+"/upnp/description.xml"),
		answerOf(good+"/upnp/description.xml"),
	)
	got, err := n.search(t).Find(t.Context())
	if err != nil || got != good {
		t.Errorf("found %q, %v; want %s", got, err, good)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	want := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: urn:flamenco:manager:0\r\nMAN: \"ssdp:discover\"\r\nMX: 3\r\n\r\n"
	if diff := cmp.Diff(want, string(n.asked[0])); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestTheQuestionIsRepeatedUntilSomebodyAnswersOrNobodyWantsToKnow(t *testing.T) {
	t.Parallel()
	n := newNetwork(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errors.New("long enough"))
	defer cancel()
	if got, err := n.search(t).Find(ctx); err == nil || err.Error() != "long enough" {
		t.Errorf("found %q, %v", got, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.asked) < 2 {
		t.Errorf("asked %d times", len(n.asked))
	}
}

func TestTheFallbackCountsOnlyWhenNobodyAnswers(t *testing.T) {
	t.Parallel()
	near, far := manager(t, 200), manager(t, 200)
	s := newNetwork(t).search(t)
	s.Fallback, s.FallbackAfter = near, 10*time.Millisecond
	if got, err := s.Find(t.Context()); err != nil || got != near {
		t.Errorf("alone: found %q, %v", got, err)
	}
	s = newNetwork(t, answerOf(far)).search(t)
	s.Fallback, s.FallbackAfter = near, time.Hour
	if got, err := s.Find(t.Context()); err != nil || got != far {
		t.Errorf("with a Manager in the network: found %q, %v", got, err)
	}
}

func TestAFloodOfAnswersMakesNoFloodOfCalls(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	calls, release := 0, make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		calls++
		mu.Unlock()
		<-release
	}))
	var packets []string
	for i := range 100 { // all of 127/8 is this machine
		_, port, _ := net.SplitHostPort(strings.TrimPrefix(slow.URL, "http://"))
		packets = append(packets, answerOf(fmt.Sprintf("http://127.0.0.%d:%s/", i+1, port)))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := newNetwork(t, packets...).search(t).Find(ctx); err == nil {
		t.Error("found one")
	}
	close(release)
	slow.Close()
	if calls > maxPings {
		t.Errorf("%d calls at once", calls)
	}
}

func TestTheAddressesOfAManagerAreThoseThatOthersCanUse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ have, want string }{
		{"127.0.0.1 ::1 2001:db8::5 fe80::1 192.168.3.4", "192.168.3.4 2001:db8::5"},
		{"127.0.0.1 ::1 fe80::1", "127.0.0.1 ::1"},
		{"fd00::1 10.0.0.2 fd00::2 10.0.0.1", "10.0.0.2 10.0.0.1 fd00::1 fd00::2"},
		{"", ""},
	} {
		var have []netip.Addr
		for _, text := range strings.Fields(c.have) {
			have = append(have, netip.MustParseAddr(text))
		}
		var got []string
		for _, a := range usable(have) {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("of %s: %s, want %s", c.have, strings.Join(got, " "), c.want)
		}
	}
	specific := URLs(&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 8080})
	if diff := cmp.Diff([]string{"http://[2001:db8::1]:8080"}, specific); diff != "" {
		t.Error(diff)
	}
	for _, url := range URLs(&net.TCPAddr{Port: 8080}) {
		if base, err := baseURL(url + DescriptionPath); err != nil || base != url {
			t.Errorf("%s is read as %s, %v", url, base, err)
		}
	}
}

func TestAManagerThatOnlyThisMachineReachesIsNotAdvertised(t *testing.T) {
	t.Parallel()
	a := &Advertiser{Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, Log: quiet(t)}
	a.look(time.Now())
	defer a.close()
	if len(a.open) != 0 {
		t.Errorf("advertises %v", a.urls)
	}
}

func TestTheDescriptionNamesTheManager(t *testing.T) {
	t.Parallel()
	text, err := Description("Søren & <Sons>", "4.0.0")
	if err != nil {
		t.Fatal(err)
	}
	var d description
	if err := xml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Name != "Søren & <Sons>" || d.Type != "urn:flamenco:manager:0" || d.UDN != "uuid:aa80bc5f-d0af-46b8-8630-23bd7e80ec4d" || d.Version != "4.0.0" {
		t.Errorf("%s", text)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(answerOf("http://192.168.1.4:8080/upnp/description.xml")))
	f.Add([]byte(answerOf("https://[fe80::1%25eth0]:8080/")))
	f.Add([]byte("HTTP/1.1 200 OK\r\nUSN: " + USN + "\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 200\n\nUSN:"))
	f.Fuzz(func(t *testing.T, packet []byte) {
		address, err := readAnswer(packet)
		if err != nil {
			return
		}
		if again, err := baseURL(address); err != nil || again != address {
			t.Errorf("%q gives %q, which is read as %q, %v", packet, address, again, err)
		}
		if _, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v3/version", http.NoBody); err != nil {
			t.Errorf("%q gives %q: %v", packet, address, err)
		}
	})
}
