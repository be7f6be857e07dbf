// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/swaggest/swgui/v5emb"

	"flamenco.farm/internal/discover"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/tasklog"
)

// jobFiles begins the addresses of the files of jobs in the local storage.
const jobFiles = "/job-files/"

const (
	apiPath      = "/api/v3/"
	workerCalls  = apiPath + "worker/"
	documentPath = "/api/v3/openapi3.json"
	swaggerPath  = "/api/v3/swagger-ui/"
	appPath      = "/app/"
	addonPath    = "/flamenco-addon.zip"
)

// noAddon is what people see who follow the web app's link to the add-on.
const noAddon = "this Manager brings no Blender add-on of its own yet; the one of Flamenco 3 works with it"

// swaggerPolicy allows the inline script and styles that Swagger UI is made of.
const swaggerPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

// mountDocument serves the description of the API, for programs and for people.
func (h *handlers) mountDocument(router chi.Router, doc *document) {
	router.Get(documentPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(doc.json)
	})
	ui := withPolicy(swaggerPolicy, v5emb.New("Flamenco Manager", documentPath, swaggerPath))
	router.Handle(swaggerPath+"*", ui)
	router.Get(strings.TrimSuffix(swaggerPath, "/"), http.RedirectHandler(swaggerPath, http.StatusTemporaryRedirect).ServeHTTP)
}

// mountFiles serves the web app and the files of jobs.
func (h *handlers) mountFiles(router chi.Router) {
	toApp := http.RedirectHandler(appPath, http.StatusTemporaryRedirect).ServeHTTP
	router.Get("/", toApp)
	router.Get(strings.TrimSuffix(appPath, "/"), toApp)
	router.Handle(appPath+"*", http.StripPrefix(appPath, h.WebApp))
	router.Get("/favicon.ico", http.RedirectHandler(appPath+"icon.svg", http.StatusTemporaryRedirect).ServeHTTP)
	router.Get("/favicon.png", http.RedirectHandler(appPath+"icon.svg", http.StatusTemporaryRedirect).ServeHTTP)
	router.Get(addonPath, func(w http.ResponseWriter, _ *http.Request) { writeError(w, http.StatusNotFound, noAddon) })
	router.Get("/flamenco3-addon.zip", http.RedirectHandler(addonPath, http.StatusPermanentRedirect).ServeHTTP)
	if h.Description != nil {
		router.Get(discover.DescriptionPath, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			_, _ = w.Write(h.Description)
		})
	}
	router.Handle(jobFiles+"*", http.StripPrefix(jobFiles, readOnly(http.HandlerFunc(h.serveJobFile))))
}

func withPolicy(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		next.ServeHTTP(w, r)
	})
}

func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			notFound(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func notFound(w http.ResponseWriter) { writeError(w, http.StatusNotFound, "there is no such file") }

// serveJobFile serves a file of a job as it is, never a list of them. The root keeps links and ".." inside.
func (h *handlers) serveJobFile(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	if !strings.HasPrefix(name, "job-") || !fs.ValidPath(name) {
		notFound(w)
		return
	}
	if id, ok := tasklog.ParsePath(name); ok {
		h.serveLog(w, r, id)
		return
	}
	if h.Blobs != nil && h.serveBlob(w, r, name) {
		return
	}
	info, err := h.Files.Stat(name)
	if err != nil || !info.Mode().IsRegular() { // to open a named pipe would wait for its writer for ever
		notFound(w)
		return
	}
	file, err := h.Files.Open(name)
	if err != nil {
		notFound(w)
		return
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil { // another one may have taken its place
		notFound(w)
		return
	}
	serveContent(w, r, name, info.ModTime(), info.Size(), file)
}

// serveBlob serves a file of a job that is no log; false if there is none. These are small pictures: where they are kept it
// costs less to read one at once than in parts.
func (h *handlers) serveBlob(w http.ResponseWriter, r *http.Request, name string) bool {
	if jobFileType(name) != "image/jpeg" {
		return false
	}
	body, info, err := h.Blobs.Get(r.Context(), name, 0, -1)
	if farm.IsNotExist(err) || farm.CodeOf(err) == farm.CodeInvalid {
		return false
	}
	if err != nil {
		h.blobFailed(w, r, err)
		return true
	}
	defer body.Close()
	if info.Size > preview.MaxSize {
		return false
	}
	picture, err := io.ReadAll(io.LimitReader(body, preview.MaxSize))
	if err != nil {
		h.blobFailed(w, r, err)
		return true
	}
	serveContent(w, r, name, info.Modified, info.Size, bytes.NewReader(picture))
	return true
}

func (h *handlers) blobFailed(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.Error("cannot read a file of a job", "path", r.URL.Path, "error", err)
	writeError(w, http.StatusInternalServerError, "the storage of files fails; the Manager's log says why")
}

func serveContent(w http.ResponseWriter, r *http.Request, name string, modified time.Time, size int64, content io.ReadSeeker) {
	w.Header().Set("Content-Type", jobFileType(name))
	w.Header().Set("Cache-Control", "no-cache") // ask each time; the answer is 304 while nothing has changed
	w.Header().Set("ETag", etag(modified.UnixNano(), size))
	http.ServeContent(w, r, "", modified, content)
}

// jobFileType never is one that a browser would run: the text of a log is somebody's output.
func jobFileType(name string) string {
	switch path.Ext(name) {
	case ".txt", ".log":
		return "text/plain; charset=utf-8"
	case ".jpg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	}
	return "application/octet-stream"
}
