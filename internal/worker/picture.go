// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"flamenco.farm/internal/worker/preview"
)

// pictureTimeout is how long sending a picture may take.
const pictureTimeout = time.Minute

// output is an image that the run has saved.
func (r *run) output(path string) preview.Output {
	return preview.Output{TaskID: r.task.ID, Assignment: r.assignment, Session: r.session, Path: path}
}

// sendPicture brings a picture to the Manager. Whether that takes it changes nothing about the task.
func (w *Worker) sendPicture(ctx context.Context, of preview.Output, jpeg []byte) error {
	a, err := w.client.do(ctx, call{
		method: http.MethodPost, path: "/worker/task/" + of.TaskID + "/output-produced", body: jpeg, kind: "image/jpeg",
		stored: true, session: of.Session, headers: map[string]string{headerAssignment: of.Assignment}, timeout: pictureTimeout,
	})
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", preview.ErrLater, err)
	case a.status == http.StatusTooManyRequests, a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable,
		a.status == http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %w", preview.ErrLater, a.problem())
	case a.status >= http.StatusMultipleChoices:
		return a.problem()
	}
	return nil
}
