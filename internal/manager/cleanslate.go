// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"flag"

	"flamenco.farm/internal/store"
)

func cleanSlateFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	yes := flags.Bool("yes", false, "do not ask")
	return func(ctx context.Context, a *admin) error {
		if err := a.noArguments(); err != nil {
			return err
		}
		err := a.confirm(*yes, "This erases all jobs and tasks of "+store.NameOf(a.config.Database)+", with their logs and previews. "+
			"Workers, tags and rendered files stay.")
		if err != nil {
			return err
		}
		return a.runOperation(ctx, kindCleanSlate, nil)
	}
}
