// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"flamenco.farm/internal/export"
)

// notInExport is what people forget.
const notInExport = "Not in an export are files: task logs, pictures, uploaded files of jobs, the configuration, and what was rendered."

func newExport(g *globalOptions) *cobra.Command {
	tokenFile := ""
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the whole farm to a file",
		Long: `Writes the farm as it is at one moment to a file, for "flamenco import", while
everybody goes on working. FILE appears once all of it is there; - is the
standard output. It holds the hashes of the secrets of Workers.

` + notInExport,
		Example: `  flamenco export farm.export --token-file admin.token`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return exportFarm(cmd.Context(), g, args[0], tokenFile)
		},
	}
	addTokenFile(cmd, &tokenFile)
	return cmd
}

func addTokenFile(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "token-file", "", "a copy of admin.token of the Manager's local storage; else FLAMENCO_ADMIN_TOKEN holds the token")
}

func exportFarm(ctx context.Context, g *globalOptions, path, tokenFile string) error {
	token, err := g.adminToken(tokenFile)
	if err != nil {
		return err
	}
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	var rows map[string]int64
	fetch := func(to io.Writer) (err error) {
		rows, err = verified(to, func(to io.Writer) error { return c.ExportFarm(ctx, token, to) })
		return err
	}
	if path == "-" {
		err = fetch(g.streams.Out)
	} else {
		err = export.WriteFile(path, fetch)
	}
	if err != nil {
		return err
	}
	if g.json && path != "-" {
		return printJSON(g.streams.Out, "export", map[string]any{"file": path, "rows": rows})
	}
	_, err = fmt.Fprintf(g.streams.Err, "%d jobs, %d tasks and %d workers are exported.\n%s\n", rows["jobs"], rows["tasks"], rows["workers"], notInExport)
	return err
}

// verified has an export written and checks it on its way.
func verified(to io.Writer, write func(io.Writer) error) (rows map[string]int64, err error) {
	from, into := io.Pipe()
	checked := make(chan error, 1)
	go func() {
		var err error
		_, rows, err = export.Verify(from)
		checked <- err
		from.CloseWithError(err)
	}()
	err = write(io.MultiWriter(to, into))
	into.CloseWithError(err)
	if found := <-checked; err == nil {
		err = found
	}
	return rows, err
}
