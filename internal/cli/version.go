// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"flamenco.farm/internal/version"
)

func newVersion(g *globalOptions) *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Print the version of this program",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(*cobra.Command, []string) error {
			if g.json {
				return printLine(g.streams.Out, map[string]any{
					"type": "version", "version": version.Version, "commit": version.Commit, "platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(g.streams.Out, "flamenco %s, %s/%s\n", version.String(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
