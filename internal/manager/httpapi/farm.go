// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"flamenco.farm/internal/export"
	"flamenco.farm/pkg/api"
)

// readOn is how much is read of an import that is refused, in bytes.
const readOn = 256 << 20

// ExportFarm streams the farm.
func (h *handlers) ExportFarm(ctx context.Context, _ api.ExportFarmRequestObject) (api.ExportFarmResponseObject, error) {
	return exportAnswer{ctx, h}, nil
}

type exportAnswer struct {
	ctx context.Context //nolint:containedctx // of the request that is answered
	h   *handlers
}

// VisitExportFarmResponse writes the answer. Once some of it is written, a failure can only be told by cutting it off.
func (e exportAnswer) VisitExportFarmResponse(w http.ResponseWriter) error {
	ctx, cancel := untilStop(e.ctx)
	defer cancel()
	w.Header().Set("Content-Type", export.ContentType)
	w.Header().Set("Content-Disposition", `attachment; filename="flamenco-farm.export"`)
	w.Header().Set("Cache-Control", "no-store")
	written := &countingWriter{to: w}
	if err := e.h.Options.ExportFarm(ctx, written); err != nil {
		if written.n == 0 {
			w.Header().Del("Content-Disposition")
			return err
		}
		e.h.Log.Error("an export of the farm was cut off", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// countingWriter counts what is sent, and gives up on a client that takes nothing: as long as one is sent to, an export
// keeps the database from clearing up.
type countingWriter struct {
	to http.ResponseWriter
	n  int64
}

// Write implements io.Writer.
func (c *countingWriter) Write(p []byte) (n int, err error) {
	err = inTime(c.to, func() error {
		n, err = c.to.Write(p)
		return err
	})
	c.n += int64(n)
	if err != nil {
		err = fmt.Errorf("sending: %w", err)
	}
	return n, err
}

// ImportFarm takes an export.
func (h *handlers) ImportFarm(ctx context.Context, r api.ImportFarmRequestObject) (api.ImportFarmResponseObject, error) {
	started, err := h.Options.ImportFarm(ctx, r.Body, deref(r.Params.Erase))
	if err != nil {
		_, _ = io.CopyN(io.Discard, r.Body, readOn) // many clients do not hear an answer while they still send
		return nil, err
	}
	o, err := apiOperation(started)
	return api.ImportFarm202JSONResponse(o), err
}
