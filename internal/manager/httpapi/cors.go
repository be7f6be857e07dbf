// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// eventsPath is where Socket.IO clients connect.
const eventsPath = "/socket.io/"

// What pages of other origins that we trust may send and read beside what every page may.
const (
	allowedMethods = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
	allowedHeaders = "Authorization, Content-Type, If-Match, If-None-Match, X-Shaman-Can-Defer-Upload, X-Shaman-Original-Filename"
	exposedHeaders = "ETag, Retry-After, X-Flamenco-Next"
	preflightAge   = "600" // seconds
)

// crossOrigin answers pages that come from elsewhere: those of trusted origins, such as the development server of the
// web app, may use the API.
type crossOrigin struct {
	trusted []string // such as http://localhost:8081
}

func (c crossOrigin) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		header := w.Header()
		if origin != "" {
			header.Add("Vary", "Origin")
		}
		trusted := slices.Contains(c.trusted, strings.ToLower(origin))
		if trusted {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Expose-Headers", exposedHeaders)
		}
		if r.Method == http.MethodOptions && trusted && r.Header.Get("Access-Control-Request-Method") != "" {
			header.Set("Access-Control-Allow-Methods", allowedMethods)
			header.Set("Access-Control-Allow-Headers", allowedHeaders)
			header.Set("Access-Control-Max-Age", preflightAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		// Browsers let every page open a websocket to anywhere, so that it is for us to refuse.
		if strings.HasPrefix(r.URL.Path, eventsPath) && origin != "" && !trusted && !sameOrigin(origin, r) {
			writeError(w, http.StatusForbidden, "pages of this origin may not listen to events")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameOrigin reports whether a page comes from where it now connects to, directly or through a proxy that says so.
func sameOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || strings.EqualFold(u.Host, r.Header.Get("X-Forwarded-Host"))
}
