// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// exportFrom fetches an export from a Manager that answers so.
func exportFrom(t *testing.T, answer http.HandlerFunc) (string, error) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var file strings.Builder
	err = c.ExportFarm(t.Context(), "token", &file)
	return file.String(), err
}

func TestAnExportNeedsNoTrailerWhichProxiesDrop(t *testing.T) {
	t.Parallel()
	file, err := exportFrom(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the farm") })
	if err != nil || file != "the farm" {
		t.Errorf("%q, %v", file, err)
	}
}

func TestAnExportThatIsCutIsAnError(t *testing.T) {
	t.Parallel()
	_, err := exportFrom(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of the fa")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the end is %v", err)
	}
}
