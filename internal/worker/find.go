// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"flamenco.farm/internal/discover"
)

// How long the local network is searched for a Manager.
const (
	printLimit    = time.Minute      // with -find-manager
	discoverLimit = 10 * time.Minute // when none is configured
	aloneAfter    = 3 * time.Second  // before the Manager of this machine is tried
)

var errNoManager = errors.New("no Manager was found; set its address as manager_url")

// printManager is all that -find-manager does.
func printManager(ctx context.Context, stdout io.Writer, log *slog.Logger) int {
	limited, cancel := context.WithTimeoutCause(ctx, printLimit, errNoManager)
	defer cancel()
	found, err := discover.Search{Log: log}.Find(limited)
	if err != nil {
		log.Error("cannot find a Manager", "error", err)
		return exitFailure
	}
	_, _ = fmt.Fprintln(stdout, found)
	return exitOK
}

// findManager finds the Manager of a Worker that was not told of one.
func findManager(ctx context.Context, log *slog.Logger) (string, error) {
	log.Info("no manager_url is configured, searching the local network for a Manager")
	limited, cancel := context.WithTimeoutCause(ctx, discoverLimit, errNoManager)
	defer cancel()
	found, err := discover.Search{Log: log, Fallback: defaultManager, FallbackAfter: aloneAfter}.Find(limited)
	if err == nil {
		log.Info("found a Manager", "manager", found)
	}
	return found, err
}
