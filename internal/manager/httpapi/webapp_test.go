// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"flamenco.farm/internal/manager/httpapi"
)

func TestFilesWhoseNamesSayWhatIsInThemAreKeptByBrowsers(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for path, want := range map[string]string{"/app/assets/x-1.js": "immutable", "/app/": "no-cache", "/app/jobs": "no-cache"} {
		if got := s.want(200, request{method: "GET", path: path}).header.Get("Cache-Control"); !strings.Contains(got, want) {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestAnAppThatWasNotBuiltSaysHowTo(t *testing.T) {
	t.Parallel()
	app := fstest.MapFS{"placeholder.html": {Data: []byte("make webapp")}}
	s := setupWith(t, func(o *httpapi.Options) { o.WebApp = httpapi.WebApp(app) })
	for _, path := range []string{"/app/", "/app/jobs"} {
		if a := s.want(200, request{method: "GET", path: path}); !strings.Contains(a.body, "make webapp") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
}

func TestTheAppCanComeFromAViteServer(t *testing.T) {
	t.Parallel()
	vite := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	t.Cleanup(vite.Close)
	address, err := url.Parse(vite.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := setupWith(t, func(o *httpapi.Options) { o.WebApp = httpapi.WebAppFrom(address) })
	for _, path := range []string{"/app/", "/app/src/main.ts", "/app/jobs/x"} {
		if a := s.want(200, request{method: "GET", path: path}); a.body != path {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	vite.Close()
	if a := s.want(502, request{method: "GET", path: "/app/"}); !strings.Contains(a.body, "does not answer") {
		t.Errorf("without the server: %s", a.body)
	}
}
