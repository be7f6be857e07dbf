// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var gzipped = map[string]string{"Accept-Encoding": "gzip"}

// unzip is the text of a compressed answer.
func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fetch asks for a path as it is: what comes back is not checked against the document, which knows plain answers only.
func (s *server) fetch(path string, header map[string]string) answer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{status: resp.StatusCode, header: resp.Header, body: string(text)}
}

func TestLargeTextsAreCompressedForWhoAsks(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.submitTasks(1500)
	for _, path := range []string{"/api/v3/jobs/" + id + "/tasks", "/api/v3/jobs/" + id + "/tasks?limit=100", "/api/v3/openapi3.json", "/app/app.js"} {
		plain, small := s.fetch(path, nil), s.fetch(path, gzipped)
		if plain.header.Get("Content-Encoding") != "" || small.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: plain %v\ncompressed %v", path, plain.header, small.header)
			continue
		}
		if unzip(t, small.body) != plain.body || len(small.body) > len(plain.body)*2/3 {
			t.Errorf("%s: %d bytes became %d, or other ones", path, len(plain.body), len(small.body))
		}
		for _, a := range []answer{plain, small} {
			if a.header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%s varies by %q", path, a.header.Values("Vary"))
			}
		}
		if a := s.fetch(path, map[string]string{"Accept-Encoding": "gzip;q=0, br"}); a.body != plain.body {
			t.Errorf("%s: a client that does not want it got %v", path, a.header)
		}
	}
}

func TestWhatGainsNothingIsNotCompressed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.submit("1").ID
	folder := filepath.Join(s.storage, "job-abcd", "abcd")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"task.txt", "picture.jpg"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(strings.Repeat("frame ", 10_000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"/api/v3/jobs/" + id, "/api/v3/jobs", "/app/icon.svg", "/job-files/job-abcd/abcd/task.txt", "/job-files/job-abcd/abcd/picture.jpg"} {
		if a := s.fetch(path, gzipped); a.status != 200 || a.header.Get("Content-Encoding") != "" || a.header.Get("Content-Length") == "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
}

func TestAPartIsOneOfThePlainText(t *testing.T) {
	t.Parallel()
	s := setup(t)
	plain := s.fetch("/app/app.js", nil)
	a := s.fetch("/app/app.js", map[string]string{"Accept-Encoding": "gzip", "Range": "bytes=10-4999"})
	if a.status != 206 || a.body != plain.body[10:5000] || a.header.Get("Content-Encoding") != "" || a.header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("%d, %d bytes, %v", a.status, len(a.body), a.header)
	}
}

func TestTheEntityTagOfACompressedAnswerIsGoodForEverything(t *testing.T) {
	t.Parallel()
	s := setup(t)
	id := s.submitTasks(1)
	large := `{"name":"large","type":"echo-sleep-test","submitter_platform":"linux","metadata":{"notes":"` + strings.Repeat("frame ", 1000) + `"},
		"settings":{"message":"x","sleep_duration_seconds":0,"sleep_repeats":1}}`
	if a := s.want(200, request{method: "POST", path: "/api/v3/jobs", body: large}); a.header.Get("Content-Encoding") != "" {
		t.Errorf("an answer to a POST: %v", a.header)
	} else {
		id = decode[struct{ ID string }](t, a).ID
	}
	path := "/api/v3/jobs/" + id
	plain, small := s.fetch(path, nil).header.Get("ETag"), s.fetch(path, gzipped).header.Get("ETag")
	if plain == small || small != strings.TrimSuffix(plain, `"`)+`-gzip"` {
		t.Errorf("the tags are %s and %s", plain, small)
	}
	for _, tag := range []string{plain, small, "W/" + small} {
		if a := s.fetch(path, with(gzipped, "If-None-Match", tag)); a.status != 304 {
			t.Errorf("%s: status %d", tag, a.status)
		}
	}
	s.want(412, request{method: "POST", path: path + "/setpriority", body: `{"priority":7}`, header: map[string]string{"If-Match": `"999-gzip"`}})
	s.want(204, request{method: "POST", path: path + "/setpriority", body: `{"priority":7}`, header: map[string]string{"If-Match": small}})
}
