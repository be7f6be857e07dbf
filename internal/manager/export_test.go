// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"io"
	"strings"
)

// OperationMainErasing is OperationMain with something in front of the erasing of Shaman checkouts.
func OperationMainErasing(in io.Reader, out, errs io.Writer, before func(id string) error) int {
	return operationMain(in, out, errs, nil, func(d *deleter) {
		if erase := d.eraseCheckout; erase != nil {
			d.eraseCheckout = func(ctx context.Context, id string) error {
				if err := before(id); err != nil {
					return err
				}
				return erase(ctx, id)
			}
		}
	})
}

// RunAdmin runs a subcommand that nobody is there to answer questions of.
func RunAdmin(ctx context.Context, args []string, out io.Writer) int {
	a := &admin{in: strings.NewReader(""), out: out, errs: out}
	return a.run(ctx, args, nil)
}

// RunAgain is what Main does once it knows its options.
var RunAgain = runAgain
