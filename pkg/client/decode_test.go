// SPDX-License-Identifier: GPL-3.0-or-later

package client_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flamenco.farm/pkg/client"
)

func TestAPageInsteadOfAnAPIIsToldAsSuch(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>")) // the client sees what arrives
	}))
	t.Cleanup(server.Close)
	c, err := client.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "is this the address of a Manager?") {
		t.Errorf("got %v", err)
	}
}
