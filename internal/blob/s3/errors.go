// SPDX-License-Identifier: GPL-3.0-or-later

package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"flamenco.farm/internal/farm"
)

var (
	storageFailed = &farm.Error{Code: farm.CodeStorage, Message: "the storage of files fails; the Manager's log says why"}
	errMissing    = farm.ErrNotExist
)

// wrap says what failed. What the server answers, and that it does not, is farm.CodeStorage.
func (s *Store) wrap(ctx context.Context, doing, name string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("blob: %s %s: %w", doing, name, context.Cause(ctx))
	case isCode(err, "NoSuchBucket"):
	case isCode(err, "NoSuchKey", "NotFound", "NoSuchUpload"):
		return fmt.Errorf("blob: %s: %w", name, errMissing)
	}
	return fmt.Errorf("%w: %s %s: %w", storageFailed, doing, name, err)
}

func isStatus(err error, status int) bool {
	var response *smithyhttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() == status
}

func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
