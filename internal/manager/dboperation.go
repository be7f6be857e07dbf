// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flamenco3"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
)

// What the subcommands db vacuum and import-flamenco3 do beside a Manager that runs.
const (
	kindVacuum = "vacuum"
	kindImport = "import-flamenco3"
)

func vacuumKind(db *store.Store) operation.Kind {
	return operation.Kind{
		Name:  kindVacuum,
		Locks: locks[struct{}](kindVacuum),
		Run: func(ctx context.Context, env *operation.Env, _ json.RawMessage) error {
			return db.Vacuum(ctx, func(done, total int) {
				env.Progress("Giving unused pages of the database back to the disk", int64(done), int64(total))
			})
		},
	}
}

type importParams struct {
	Database string `json:"database"`
	Storage  string `json:"storage,omitempty"`
}

func readImportParams(params json.RawMessage) (importParams, error) {
	p, err := readParams[importParams](params)
	if err == nil && !filepath.IsAbs(p.Database) {
		err = farm.Errorf(farm.CodeInvalid, "params.database: %q is not an absolute path", p.Database)
	}
	return p, err
}

func importKind(db *store.Store, storage *os.Root) operation.Kind {
	return operation.Kind{
		Name:          kindImport,
		InMaintenance: true,
		Local:         true,
		Locks: func(params json.RawMessage) ([]string, error) {
			_, err := readImportParams(params)
			return []string{kindImport}, err
		},
		Run: func(ctx context.Context, env *operation.Env, params json.RawMessage) error {
			p, err := readImportParams(params)
			if err != nil {
				return err
			}
			report, err := flamenco3.Import(ctx, flamenco3.Source{Database: p.Database, Storage: p.Storage}, flamenco3.Target{
				Store: db, Do: env.Do, Storage: storage, LogName: tasklog.Path, Schedule: importSchedule, Rendered: importRendered,
			}, flamenco3.Options{
				Progress: func(done, total int) { env.Progress("Importing jobs", int64(done), int64(total)) },
			})
			var text strings.Builder
			if printErr := report.Print(&text); printErr == nil {
				env.Log.Info("report\n" + text.String())
			}
			if err != nil {
				return err
			}
			leftOut := len(report.Problems) + report.More
			env.Progress(fmt.Sprintf("%d jobs and %d workers imported, %d things left out or changed; the log of the operation has the report",
				report.Jobs.Imported, report.Workers.Imported, leftOut), 0, 0)
			return nil
		},
	}
}
