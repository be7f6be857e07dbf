// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/shaman"
)

// FuzzHeaders uploads a file that is stored already, with any two headers: only those that can be read get past them.
func FuzzHeaders(f *testing.F) {
	f.Add("True", "scene.blend")
	f.Add("False", "=?utf-8?b?w6Q=?=")
	f.Add("1", "=?utf-8?q?sc=C3=A8ne?= =?iso-8859-1?q?=E4?=")
	f.Add("perhaps", "a,b%20;c")
	log := slog.New(slog.DiscardHandler)
	store, err := shaman.New(shaman.Options{SharedStorage: f.TempDir(), Log: log})
	if err != nil {
		f.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Options{Log: log, Shaman: store})
	if err != nil {
		f.Fatal(err)
	}
	send := func(ctx context.Context, header http.Header) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, fileURL("content"), strings.NewReader("content"))
		r.Header = header
		r.Header.Set("Content-Type", "application/octet-stream")
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec.Code
	}
	if got := send(f.Context(), http.Header{}); got != 200 {
		f.Fatal(got)
	}
	f.Fuzz(func(t *testing.T, canDefer, name string) {
		_, deferErr := strconv.ParseBool(canDefer)
		decoded, nameErr := shaman.OriginalName(name)
		if strings.ContainsFunc(decoded, unicode.IsControl) {
			t.Errorf("%q decodes to %q", name, decoded)
		}
		want := 208
		if deferErr != nil || nameErr != nil {
			want = 400
		}
		got := send(t.Context(), http.Header{"X-Shaman-Can-Defer-Upload": {canDefer}, "X-Shaman-Original-Filename": {name}})
		if got != want && canDefer != "" {
			t.Errorf("defer %q, name %q: status %d, want %d", canDefer, name, got, want)
		}
		if got != 208 && got != 400 {
			t.Errorf("defer %q, name %q: status %d", canDefer, name, got)
		}
	})
}
