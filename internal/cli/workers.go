// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"flamenco.farm/pkg/api"
)

func newWorkers(g *globalOptions) *cobra.Command {
	return group("workers", "Look at workers", newWorkersList(g), newWorkersShow(g))
}

// statusOf is the status of a worker, with the one that it was asked to take.
func statusOf(status api.WorkerStatus, wanted *api.WorkerStatusChangeRequest) string {
	if wanted == nil {
		return string(status)
	}
	if wanted.IsLazy {
		return fmt.Sprintf("%s, %s after its task", status, wanted.Status)
	}
	return fmt.Sprintf("%s, %s requested", status, wanted.Status)
}

func seen(now time.Time, last *time.Time) string {
	if last == nil {
		return "never"
	}
	return ago(now, *last)
}
