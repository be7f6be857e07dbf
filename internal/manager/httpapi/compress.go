// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// compressFrom is how long an answer must be to be compressed, in bytes: shorter ones fit into a few packets.
const compressFrom = 4 << 10

// compressedSuffix is what the entity tag of a compressed answer has behind that of the plain one.
const compressedSuffix = "-gzip"

// compressible are the types of content that get much smaller.
var compressible = []string{
	"application/json", "application/javascript", "text/javascript", "text/css", "text/html", "text/plain", "text/xml", "image/svg+xml",
}

// compress lets clients that ask for it have large texts compressed, fast rather than small: most are in the same building.
func compress(next http.Handler) (http.Handler, error) {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(compressFrom), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false),
		gzhttp.SuffixETag(compressedSuffix), gzhttp.ContentTypeFilter(isCompressible))
	if err != nil {
		return nil, err
	}
	compressing := wrap(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !mayBeLarge(r):
			next.ServeHTTP(w, r)
		case r.Header.Get("Range") != "": // bytes are counted in the plain text
			w.Header().Add("Vary", "Accept-Encoding")
			next.ServeHTTP(w, r)
		default:
			compressing(w, r)
		}
	}), nil
}

// mayBeLarge is whether the answer may be a large text that is read from its beginning to its end. What Workers ask for all
// the time is small, events go out as they happen, and the files of jobs are pictures or have a compression of their own.
func mayBeLarge(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	path := r.URL.Path
	return strings.HasPrefix(path, appPath) ||
		(strings.HasPrefix(path, apiPath) && !strings.HasPrefix(path, workerCalls) && !strings.HasSuffix(path, "/logtail"))
}

func isCompressible(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && slices.Contains(compressible, kind)
}
