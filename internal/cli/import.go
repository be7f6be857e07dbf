// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
)

type importOptions struct {
	erase     string
	tokenFile string
}

func newImport(g *globalOptions) *cobra.Command {
	o := importOptions{}
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Replace the whole farm by an export",
		Long: `Replaces the farm by what "flamenco export" has written to FILE; - is the
standard input. The farm has to be in maintenance. What it has is lost, so it
has to be empty, or to be named: a refusal tells what it has and its ID.

` + notInExport,
		Example: `  flamenco maintenance on --reason "moving the farm" --wait
  flamenco import farm.export
  flamenco maintenance off`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return importFarm(cmd.Context(), g, args[0], o) },
	}
	cmd.Flags().StringVar(&o.erase, "erase", "", "erase what the farm with this ID has")
	addTokenFile(cmd, &o.tokenFile)
	return cmd
}

func importFarm(ctx context.Context, g *globalOptions, path string, o importOptions) error {
	token, err := g.adminToken(o.tokenFile)
	if err != nil {
		return err
	}
	from := io.NopCloser(g.streams.In)
	if path != "-" {
		if from, err = os.Open(path); err != nil {
			return usageError{err}
		}
	}
	defer from.Close() //nolint:errcheck // it was only read
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	started, err := c.ImportFarm(ctx, token, o.erase, from)
	if err != nil {
		return err
	}
	for now, err := range c.WatchOperation(ctx, started.ID) {
		if err != nil {
			return fmt.Errorf("the import goes on as operation %s, but it cannot be followed: %w", started.ID, err)
		}
		if err := g.showOperation(now); err != nil {
			return err
		}
		switch now.Status {
		case api.OperationStatusCompleted:
			return nil
		case api.OperationStatusFailed, api.OperationStatusCanceled:
			return errors.New("nothing was imported: " + now.Activity)
		}
	}
	return nil
}

// showOperation prints a line of what an operation does.
func (g *globalOptions) showOperation(o api.Operation) error {
	if g.json {
		return printJSON(g.streams.Out, "operation", o)
	}
	line := o.Activity
	if o.Total > 0 {
		line = fmt.Sprintf("%3d%%  %s", 100*o.Done/o.Total, o.Activity)
	}
	if line == "" || o.Status == api.OperationStatusFailed {
		return nil
	}
	_, err := fmt.Fprintln(g.streams.Err, line)
	return err
}
