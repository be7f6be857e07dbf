// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/shaman"
)

const kindShamanGC = "shaman-gc"

type collectParams struct {
	DryRun bool `json:"dry_run"`
}

// uploadSetup says where uploaded files are; the zero value is a Manager without Shaman.
type uploadSetup struct {
	SharedStorage string
	MaxAge        time.Duration
}

// uploadsOf is what the configuration says of uploaded files: nothing if Shaman is switched off or has nowhere to keep them.
func uploadsOf(cfg config.Config) uploadSetup {
	if !cfg.Shaman.Enabled {
		return uploadSetup{}
	}
	return uploadSetup{cfg.SharedStorage, cfg.Shaman.MaxAge}
}

// open opens the uploaded files, nil if there is no Shaman.
func (u uploadSetup) open(log *slog.Logger, blobs blob.Store, period time.Duration, collect func(context.Context) error) (*shaman.Store, error) {
	if u.SharedStorage == "" {
		return nil, nil //nolint:nilnil // no Shaman is no failure
	}
	return shaman.New(shaman.Options{SharedStorage: u.SharedStorage, Log: log, Blobs: blobs, Period: period, MaxAge: u.MaxAge, Collect: collect})
}

// collectKind is the operation that deletes uploaded files which nobody uses.
func collectKind(uploads *shaman.Store, maxAge time.Duration) operation.Kind {
	return operation.Kind{
		Name:  kindShamanGC,
		Locks: locks[collectParams](kindShamanGC),
		Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
			p, err := readParams[collectParams](params)
			if err != nil {
				return err
			}
			if uploads == nil {
				return farm.Errorf(farm.CodeInvalid, "this Manager keeps no uploaded files: shaman.enabled is false, or there is no shared_storage_path")
			}
			report, err := uploads.Collect(ctx, shaman.CollectOptions{
				MaxAge: maxAge, DryRun: p.DryRun,
				Progress: func(done, total int64, activity string) { env.Progress(activity, done, total) },
			})
			if err != nil {
				return err
			}
			env.Progress(collected(report, p.DryRun), 0, 0)
			return nil
		},
	}
}

// collected says what a collection did, or would have done.
func collected(r shaman.Report, dryRun bool) string {
	did := "deleted"
	if dryRun {
		did = "to be deleted"
	}
	text := fmt.Sprintf("Files stored: %d (%.1f MiB), old: %d, unused and %s: %d (%.1f MiB)",
		r.Files, mebibytes(r.Bytes), r.Old, did, r.Deleted, mebibytes(r.DeletedBytes))
	if r.Failed > 0 {
		text += fmt.Sprintf(", not to be deleted: %d", r.Failed)
	}
	return text
}

// eraseCheckout erases a checkout. What no checkout can be called, such as what was submitted while Shaman was off, leaves
// nothing to erase, and must not keep its job for ever.
func eraseCheckout(uploads *shaman.Store, id string, log *slog.Logger) error {
	err := uploads.Erase(id)
	if farm.CodeOf(err) == farm.CodeInvalid {
		log.Warn("the job names no checkout of this store, so nothing is erased", "checkout", id, "reason", err)
		return nil
	}
	return err
}

// collectByOperation runs a collection as an operation, and returns when it has ended. In a maintenance there is none: the
// next one will be when it is due.
func collectByOperation(ctx context.Context, operations *operation.Service) error {
	o, err := operations.Start(ctx, kindShamanGC, nil, "manager")
	if farm.CodeOf(err) == farm.CodeMaintenance {
		return nil
	}
	if err == nil {
		o, err = operations.Wait(ctx, o.ID)
	}
	if err == nil && o.Status != farm.OperationCompleted {
		err = fmt.Errorf("the operation %s is %s: %s", o.ID, o.Status, o.Activity)
	}
	return err
}

func shamanGCFlags(flags *flag.FlagSet) func(context.Context, *admin) error {
	dryRun := flags.Bool("dry-run", false, "only say what would be deleted")
	return func(ctx context.Context, a *admin) error {
		if err := a.noArguments(); err != nil {
			return err
		}
		if uploadsOf(a.config).SharedStorage == "" {
			return errors.New("there is nothing to collect: shaman.enabled is false, or there is no shared_storage_path")
		}
		return a.runOperation(ctx, kindShamanGC, map[string]any{"dry_run": *dryRun})
	}
}
