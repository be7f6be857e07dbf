// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheWebAppAndTheDocumentAreServed(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, c := range []struct {
		path     string
		status   int
		contains string
	}{
		{"/", 307, "/app/"},
		{"/app", 307, "/app/"},
		{"/app/", 200, "<!DOCTYPE html>"},
		{"/app/jobs/" + nobody, 200, "<!DOCTYPE html>"},
		{"/app/app.js", 200, "import"},
		{"/app/nope.js", 404, "no such file"},
		{"/favicon.ico", 307, ""},
		{"/flamenco-addon.zip", 404, "the one of Flamenco 3 works"},
		{"/flamenco3-addon.zip", 308, "/flamenco-addon.zip"},
		{"/api/v3/openapi3.json", 200, `"openapi":"3.0.3"`},
		{"/api/v3/swagger-ui/", 200, "openapi3.json"},
		{"/debug/pprof/", 404, "Not Found"},
	} {
		a := s.want(c.status, request{method: "GET", path: c.path})
		if !strings.Contains(a.body, c.contains) {
			t.Errorf("%s: %.200s", c.path, a.body)
		}
		policy := a.header.Get("Content-Security-Policy")
		if a.header.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: headers %v", c.path, a.header)
		}
		if strings.HasPrefix(c.path, "/app") && strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %s", c.path, policy)
		}
	}
}

func TestAPathOutOfTheWebAppIsNotFound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, path := range []string{"/app/../x", "/app/%2e%2e/x", "/app/..%2f..%2fetc%2fpasswd"} {
		if a := s.do(request{method: "GET", path: path}); a.status != 404 || !strings.Contains(a.body, "no such file") {
			t.Errorf("%q: %d %s", path, a.status, a.body)
		}
	}
}

func TestJobFilesAreServedAndNothingElse(t *testing.T) {
	t.Parallel()
	s := setup(t)
	folder := filepath.Join(s.storage, "job-abcd", "abcd")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret.txt")
	for path, text := range map[string]string{
		filepath.Join(folder, "task.txt"): "0123456789", filepath.Join(folder, "page.html"): "<script>", filepath.Join(s.storage, "private.txt"): "private", secret: "secret",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(secret, filepath.Join(folder, "link.txt")); err != nil {
		t.Fatal(err)
	}
	a := s.want(206, request{method: "GET", path: "/job-files/job-abcd/abcd/task.txt", header: map[string]string{"Range": "bytes=4-"}})
	if a.body != "456789" {
		t.Errorf("range: %q", a.body)
	}
	if a := s.want(200, request{method: "GET", path: "/job-files/job-abcd/abcd/page.html"}); a.header.Get("Content-Type") != "application/octet-stream" {
		t.Errorf("type of a page: %s", a.header.Get("Content-Type"))
	}
	for _, path := range []string{
		"", "job-abcd", "job-abcd/", "job-abcd/abcd/", "private.txt", "job-abcd/../private.txt", "job-abcd/%2e%2e/private.txt", "job-abcd/abcd/link.txt",
		"job-abcd/abcd/nope.txt", "/etc/passwd", "job-abcd//abcd/task.txt",
	} {
		if a := s.do(request{method: "GET", path: "/job-files/" + path}); a.status != 404 {
			t.Errorf("%q: %d %s", path, a.status, a.body)
		}
	}
	s.want(404, request{method: "POST", path: "/job-files/job-abcd/abcd/task.txt"})
}
