// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/pkg/api"
)

// errNoShaman is the answer while files cannot be uploaded at all.
var errNoShaman = farm.Errorf(farm.CodeUnavailable, "Shaman is switched off, or this Manager has no shared storage yet")

func (h *handlers) ShamanCheckoutRequirements(ctx context.Context, r api.ShamanCheckoutRequirementsRequestObject) (api.ShamanCheckoutRequirementsResponseObject, error) {
	if h.Shaman == nil {
		return nil, errNoShaman
	}
	files, err := shamanFiles(r.Body.Files)
	if err != nil {
		return nil, err
	}
	required, err := h.Shaman.Requirements(ctx, files)
	if err != nil {
		return nil, err
	}
	answer := api.ShamanCheckoutRequirements200JSONResponse{Files: make([]api.ShamanFileSpecWithStatus, len(required))}
	for i, f := range required {
		answer.Files[i] = api.ShamanFileSpecWithStatus{SHA: f.Key.Sum(), Size: int(f.Key.Size()), Path: f.Path, Status: api.ShamanFileStatus(f.Status)}
	}
	return answer, nil
}

func (h *handlers) ShamanFileStoreCheck(ctx context.Context, r api.ShamanFileStoreCheckRequestObject) (api.ShamanFileStoreCheckResponseObject, error) {
	if h.Shaman == nil {
		return nil, errNoShaman
	}
	key, err := shaman.NewKey(r.Checksum, int64(r.Filesize))
	if err != nil {
		return nil, err
	}
	status, err := h.Shaman.Status(ctx, key)
	if err != nil {
		return nil, err
	}
	return api.ShamanFileStoreCheck200JSONResponse{Status: api.ShamanFileStatus(status)}, nil
}

func (h *handlers) ShamanFileStore(ctx context.Context, r api.ShamanFileStoreRequestObject) (api.ShamanFileStoreResponseObject, error) {
	if h.Shaman == nil {
		return nil, errNoShaman
	}
	key, err := shaman.NewKey(r.Checksum, int64(r.Filesize))
	if err != nil {
		return nil, err
	}
	name, err := shaman.OriginalName(deref(r.Params.XShamanOriginalFilename))
	if err != nil {
		return nil, err
	}
	outcome, err := h.Shaman.Upload(ctx, shaman.Upload{Key: key, CanDefer: deref(r.Params.XShamanCanDeferUpload), Name: name}, r.Body)
	switch {
	case err != nil:
		return nil, err
	case outcome == shaman.AlreadyStored:
		return api.ShamanFileStore208Response{}, nil
	}
	return api.ShamanFileStore200Response{}, nil // the document of Flamenco 3 says 204, its Manager always answered 200
}

func (h *handlers) ShamanCheckout(ctx context.Context, r api.ShamanCheckoutRequestObject) (api.ShamanCheckoutResponseObject, error) {
	if h.Shaman == nil {
		return nil, errNoShaman
	}
	files, err := shamanFiles(r.Body.Files)
	if err != nil {
		return nil, err
	}
	path, err := h.Shaman.Checkout(ctx, r.Body.CheckoutPath, files)
	if err != nil {
		return nil, err
	}
	return api.ShamanCheckout200JSONResponse{CheckoutPath: path}, nil
}

func shamanFiles(specs []api.ShamanFileSpec) ([]shaman.File, error) {
	files := make([]shaman.File, len(specs))
	for i, spec := range specs {
		key, err := shaman.NewKey(spec.SHA, int64(spec.Size))
		if err != nil {
			return nil, err
		}
		files[i] = shaman.File{Key: key, Path: spec.Path}
	}
	return files, nil
}

// checkCheckout refuses a job of a checkout that cannot be, or is not there although Shaman makes checkouts.
func (h *handlers) checkCheckout(path string) error {
	err := error(nil)
	switch {
	case path == "":
	case h.Shaman == nil:
		err = shaman.CheckCheckoutName(path)
	default:
		err = h.Shaman.ValidCheckout(path)
	}
	if farm.CodeOf(err) == farm.CodeInvalid {
		return farm.Errorf(farm.CodeInvalid, "storage.shaman_checkout_id: %v", err)
	}
	return err
}
