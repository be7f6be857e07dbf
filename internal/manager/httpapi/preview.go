// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/preview"
	"flamenco.farm/pkg/api"
)

// How long a Worker may take to send a picture, and to read on what nobody wants of it.
const (
	pictureTime = time.Minute
	refusalTime = 10 * time.Second
)

// pictureTypes are the content types that a picture may have.
var pictureTypes = []string{"image/jpeg", "image/png", "image/tiff", "image/webp"}

// takeOutput answers taskOutputProduced, which the generated code cannot: it has several content types.
func (h *handlers) takeOutput(gate *gate) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		connection := http.NewResponseController(w)
		_ = connection.SetReadDeadline(time.Now().Add(pictureTime)) // a test's recorder has none
		err := h.takePicture(r)
		if err == nil {
			w.WriteHeader(http.StatusAccepted)
		} else {
			// Many clients look for an answer only when they have sent everything.
			_ = connection.SetReadDeadline(time.Now().Add(refusalTime))
			_, _ = io.Copy(io.Discard, r.Body)
			answerPicture(gate, w, r, err)
		}
		_ = connection.SetReadDeadline(time.Time{})
	}
}

// The refusals that are HTTP alone.
var (
	errNoLength = errors.New("the request must say the length of the picture in Content-Length, and must not be empty")
	errNoType   = errors.New("the content type must be one of image/jpeg, image/png, image/tiff and image/webp")
)

func answerPicture(gate *gate, w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, errNoLength):
		writeError(w, http.StatusLengthRequired, err.Error())
	case errors.Is(err, errNoType):
		writeError(w, http.StatusUnsupportedMediaType, err.Error())
	default:
		gate.answerError(w, r, err)
	}
}

// takePicture checks what can be known before the picture is read.
func (h *handlers) takePicture(r *http.Request) error {
	taskID := chi.URLParam(r, "task_id")
	if err := checkID("task_id", taskID); err != nil {
		return err
	}
	if r.ContentLength <= 0 {
		return errNoLength
	}
	if r.ContentLength > preview.MaxSize {
		return farm.Errorf(farm.CodeTooLarge, "the picture has %d bytes, more than %d", r.ContentLength, preview.MaxSize)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || !slices.Contains(pictureTypes, kind) {
		return errNoType
	}
	session := r.Header.Get("X-Flamenco-Session")
	jobID, err := h.Sched.MayShow(r.Context(), callerOf(r.Context(), &session), taskID, r.Header.Get("X-Flamenco-Assignment"))
	if err != nil {
		return err
	}
	err = h.Previews.Take(jobID, r.Body, r.ContentLength)
	if err != nil && farm.CodeOf(err) == "" {
		return farm.Errorf(farm.CodeInvalid, "the picture did not arrive whole: %v", err)
	}
	return err
}

func (h *handlers) FetchJobLastRenderedInfo(ctx context.Context, r api.FetchJobLastRenderedInfoRequestObject) (api.FetchJobLastRenderedInfoResponseObject, error) {
	if err := checkID("job_id", r.JobID); err != nil {
		return nil, err
	}
	info, err := h.Previews.OfJob(ctx, r.JobID)
	switch {
	case farm.IsNotExist(err):
		return api.FetchJobLastRenderedInfo204Response{}, nil
	case err != nil:
		return nil, fmt.Errorf("looking for the picture of a job: %w", err)
	}
	return api.FetchJobLastRenderedInfo200JSONResponse{Base: info.Base, Suffixes: info.Suffixes}, nil
}

func (h *handlers) FetchGlobalLastRenderedInfo(ctx context.Context, _ api.FetchGlobalLastRenderedInfoRequestObject) (api.FetchGlobalLastRenderedInfoResponseObject, error) {
	info, err := h.Previews.OfFarm(ctx)
	switch {
	case farm.IsNotExist(err):
		return api.FetchGlobalLastRenderedInfo204Response{}, nil
	case err != nil:
		return nil, fmt.Errorf("looking for the newest picture: %w", err)
	}
	return api.FetchGlobalLastRenderedInfo200JSONResponse{Base: info.Base, Suffixes: info.Suffixes}, nil
}
