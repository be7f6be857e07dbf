// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

// limitedClient is a client's connection that remembers how much time each part had.
type limitedClient struct {
	*httptest.ResponseRecorder
	deadline time.Time
	limited  []bool // of each part
}

func (c *limitedClient) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *limitedClient) Write(p []byte) (int, error) {
	c.limited = append(c.limited, !c.deadline.IsZero() && time.Until(c.deadline) <= partTime)
	return c.ResponseRecorder.Write(p)
}

func TestWhoDoesNotReadAnExportIsCutOff(t *testing.T) {
	t.Parallel()
	h := &handlers{Options: Options{ExportFarm: func(_ context.Context, to io.Writer) error {
		for range 3 {
			if _, err := io.WriteString(to, "part"); err != nil {
				return err
			}
		}
		return nil
	}}}
	c := &limitedClient{ResponseRecorder: httptest.NewRecorder()}
	if err := (exportAnswer{t.Context(), h}).VisitExportFarmResponse(c); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.limited, []bool{true, true, true}) {
		t.Errorf("the parts are limited: %v", c.limited)
	}
	if !c.deadline.IsZero() {
		t.Error("the deadline stays for the next answer")
	}
	if c.Code != http.StatusOK || c.Body.String() != "partpartpart" {
		t.Errorf("%d %q", c.Code, c.Body)
	}
}
