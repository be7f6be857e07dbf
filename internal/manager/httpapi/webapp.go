// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path"
	"slices"
	"strings"
)

// appPolicy lets the web app load its own files and nothing else.
const appPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// developerPolicy also lets a Vite server put the styles that somebody edits into the page, and tell it of the edit.
const developerPolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self' ws:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// appAssets is the folder of the files whose names say what is in them: another content has another name.
const appAssets = "assets/"

// WebApp serves the files of the web app, below the path of the app; every other path is one that the app itself
// understands. An app that was not built is a page that says how to do that.
func WebApp(app fs.FS) http.Handler {
	index := "index.html"
	if _, err := fs.Stat(app, index); err != nil {
		index = "placeholder.html"
	}
	return withPolicy(appPolicy, readOnly(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path
		if slices.Contains(strings.Split(name, "/"), "..") {
			notFound(w)
			return
		}
		if info, err := fs.Stat(app, name); name == "" || err != nil || info.IsDir() {
			if path.Ext(name) != "" {
				notFound(w)
				return
			}
			name = index
		}
		if strings.HasPrefix(name, appAssets) {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		} else {
			w.Header().Set("Cache-Control", "no-cache") // a new Manager brings a new app
		}
		http.ServeFileFS(w, r, app, name)
	})))
}

// WebAppFrom serves the web app from the Vite server of who works on it.
func WebAppFrom(server *url.URL) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(server)
			r.Out.URL.Path = appPath + strings.TrimPrefix(r.In.URL.Path, "/")
			r.Out.URL.RawPath = ""
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			writeError(w, http.StatusBadGateway, "the server of the web app, "+server.Redacted()+", does not answer: "+err.Error())
		},
	}
	return withPolicy(developerPolicy, readOnly(proxy))
}
