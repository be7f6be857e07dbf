// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"io"
	"os"
	"strings"

	"flamenco.farm/internal/telemetry"
)

// DieAtFile is a file of the local storage that names the step at which operations are to be killed.
const DieAtFile = "die-at"

// OperationMainErasing is OperationMain with something in front of the erasing of Shaman checkouts. It can be killed.
func OperationMainErasing(in io.Reader, out, errs io.Writer, before func(id string) error) int {
	var local *os.Root
	die := func(step string) {
		if local == nil {
			return
		}
		if at, err := local.ReadFile(DieAtFile); err == nil && string(at) == step {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			panic(err) // it is dead by now
		}
	}
	return operationMain(in, out, errs, die, func(d *deleter) {
		local = d.files
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

// DescribedMetrics are the metrics of a Manager by name.
func DescribedMetrics() []telemetry.Metric {
	m := newMetrics()
	m.read(measured{})
	return m.Declared()
}
