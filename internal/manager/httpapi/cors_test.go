// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestOnlyPagesOfTrustedOriginsMayUseTheAPI(t *testing.T) {
	t.Parallel()
	handler := crossOrigin{[]string{"http://localhost:8081", "http://studio:8081"}}.admit(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	const passed = http.StatusTeapot
	for _, c := range []struct {
		name, method, path, origin, forwarded string
		preflight                             bool
		status                                int
		allowed                               string
	}{
		{name: "no page at all", method: "GET", path: "/api/v3/jobs", status: passed},
		{name: "the development server", method: "GET", path: "/api/v3/jobs", origin: "http://localhost:8081", status: passed, allowed: "http://localhost:8081"},
		{name: "in capitals", method: "GET", path: "/api/v3/jobs", origin: "http://Studio:8081", status: passed, allowed: "http://Studio:8081"},
		{name: "another port", method: "GET", path: "/api/v3/jobs", origin: "http://localhost:8082", status: passed},
		{name: "a foreign page", method: "GET", path: "/api/v3/jobs", origin: "http://evil.example", status: passed},
		{name: "no origin", method: "GET", path: "/api/v3/jobs", origin: "null", status: passed},
		{name: "asks first", method: "OPTIONS", path: "/api/v3/jobs", origin: "http://studio:8081", preflight: true, status: 204, allowed: "http://studio:8081"},
		{name: "a foreign page asks first", method: "OPTIONS", path: "/api/v3/jobs", origin: "http://evil.example", preflight: true, status: passed},
		{name: "events of the development server", method: "GET", path: "/socket.io/", origin: "http://studio:8081", status: passed, allowed: "http://studio:8081"},
		{name: "events of the Manager's own page", method: "GET", path: "/socket.io/", origin: "http://manager:8080", status: passed},
		{name: "events behind a proxy", method: "GET", path: "/socket.io/", origin: "https://farm.example", forwarded: "farm.example", status: passed},
		{name: "events for a foreign page", method: "GET", path: "/socket.io/", origin: "http://evil.example", status: 403},
		{name: "events for a page of no origin", method: "GET", path: "/socket.io/", origin: "null", status: 403},
	} {
		r := httptest.NewRequest(c.method, "http://manager:8080"+c.path, nil)
		for name, value := range map[string]string{"Origin": c.origin, "X-Forwarded-Host": c.forwarded} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		if c.preflight {
			r.Header.Set("Access-Control-Request-Method", "PUT")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Access-Control-Allow-Origin") != c.allowed {
			t.Errorf("%s: %d, allowed %q", c.name, w.Code, w.Header().Get("Access-Control-Allow-Origin"))
		}
		if c.preflight && c.allowed != "" && !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "PUT") {
			t.Errorf("%s: the methods are %q", c.name, w.Header().Get("Access-Control-Allow-Methods"))
		}
		if (w.Header().Get("Vary") == "Origin") != (c.origin != "") {
			t.Errorf("%s: Vary is %q", c.name, w.Header().Get("Vary"))
		}
	}
}
