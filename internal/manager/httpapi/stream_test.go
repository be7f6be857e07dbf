// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
)

// long is an entry of a list that is sent at once, compressed or not.
func long() string {
	text := make([]byte, 2*sendFrom)
	for i := range text {
		text[i] = byte('0' + rand.IntN(64))
	}
	return string(text)
}

func same(s string) string { return s }

// partsThen yields parts of one entry each, and then an error.
func partsThen(err error, entries ...string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for _, e := range entries {
			if !yield([]string{e}, nil) {
				return
			}
		}
		yield(nil, err)
	}
}

// serveList serves a list as the Manager does.
func serveList(t *testing.T, parts iter.Seq2[[]string, error]) (url string) {
	t.Helper()
	gate := &gate{log: slog.New(slog.DiscardHandler)}
	handler, err := compress(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := streamAll(r.Context(), newTurns(), "names", parts, converted(same))(w); err != nil {
			gate.answerError(w, r, err)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gate.outermost(handler))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	t.Cleanup(server.Close)
	return server.URL + apiPath
}

// get asks for an encoding, "" for none, and returns the bytes as they came.
func get(t *testing.T, url, encoding string) (resp *http.Response, body []byte, readErr error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if encoding != "" {
		req.Header.Set("Accept-Encoding", encoding)
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	if resp, err = client.Do(req); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, readErr = io.ReadAll(resp.Body)
	return resp, body, readErr
}

func TestAListThatFailsInTheMiddleIsCutOff(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	for _, encoding := range []string{"", "gzip"} {
		resp, body, err := get(t, serveList(t, partsThen(broken, long(), long())), encoding)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Encoding") != encoding {
			t.Errorf("%q: status %d, %v", encoding, resp.StatusCode, resp.Header)
		}
		if err == nil {
			t.Errorf("%q: the client takes %d bytes for a whole answer", encoding, len(body))
		}
	}
}

func TestAListThatFailsBeforeItIsSentHasAStatus(t *testing.T) {
	t.Parallel()
	resp, body, err := get(t, serveList(t, partsThen(farm.Errorf(farm.CodeBusy, "later"), "short")), "")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"later"`) {
		t.Errorf("status %d, %s, %v", resp.StatusCode, body, err)
	}
}

// stuck is a client that reads nothing until it is let go.
type stuck struct {
	*httptest.ResponseRecorder
	reached, let chan struct{}
}

func (s stuck) Write(b []byte) (int, error) {
	close(s.reached)
	<-s.let
	return s.ResponseRecorder.Write(b)
}

func TestAClientThatDoesNotReadKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	turns := make(turns, 1)
	slow := stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	done := make(chan error)
	go func() {
		done <- streamAll(t.Context(), turns, "names", partsThen(io.EOF, long()), converted(same))(slow)
	}()
	<-slow.reached
	quick := httptest.NewRecorder()
	page := func() ([]string, string, error) { return []string{"a"}, "there", nil }
	err := streamPage(t.Context(), turns, "names", page, converted(same))(quick)
	if err != nil || quick.Body.String() != "{\"names\":[\"a\"]}\n" || quick.Header().Get("X-Flamenco-Next") != "there" {
		t.Errorf("%v, %v %s", err, quick.Header(), quick.Body)
	}
	close(slow.let)
	if err := <-done; !errors.Is(err, io.EOF) || !errors.Is(err, errCutShort) {
		t.Errorf("the slow one: %v", err)
	}
}

func TestATurnEndsWhateverHappens(t *testing.T) {
	t.Parallel()
	turns := make(turns, 1)
	list := func(ctx context.Context, parts iter.Seq2[[]string, error]) (err error) {
		defer func() {
			if recover() != nil {
				err = errors.New("panic")
			}
		}()
		return streamAll(ctx, turns, "names", parts, converted(same))(httptest.NewRecorder())
	}
	gone, cancel := context.WithCancel(t.Context())
	for range 3 {
		if err := list(t.Context(), partsThen(io.EOF)); !errors.Is(err, io.EOF) || errors.Is(err, errCutShort) {
			t.Errorf("nothing but an error: %v", err)
		}
		if err := list(t.Context(), func(func([]string, error) bool) { panic("x") }); err == nil || err.Error() != "panic" {
			t.Errorf("a panic: %v", err)
		}
	}
	turns <- struct{}{}
	cancel()
	if err := list(gone, partsThen(io.EOF)); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v", err)
	}
	<-turns
	if len(turns) != 0 {
		t.Error("a turn did not end")
	}
}
