// SPDX-License-Identifier: GPL-3.0-or-later

package file

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// wrap says what failed. Errors of the file system itself, such as a full disk, are farm.CodeStorage.
func wrap(doing, name string, err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, blob.ErrExist):
		return err
	case isMissing(err):
		return fmt.Errorf("blob: %s: %w", name, farm.ErrNotExist)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), farm.CodeOf(err) != "":
		return err
	case errors.As(err, &number):
		return fmt.Errorf("%w: %s %s: %w", storageFailed, doing, name, err)
	}
	return fmt.Errorf("blob: %s %s: %w", doing, name, err)
}

var storageFailed = &farm.Error{Code: farm.CodeStorage, Message: "the storage of files is full or failing"}
