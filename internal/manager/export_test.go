// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"io"
)

// OperationMainErasing is OperationMain of a farm with Shaman checkouts, which erase erases.
func OperationMainErasing(in io.Reader, out, errs io.Writer, erase func(ctx context.Context, id string) error) int {
	return operationMain(in, out, errs, nil, erase)
}

// RunAgain is what Main does once it knows its options.
var RunAgain = runAgain
