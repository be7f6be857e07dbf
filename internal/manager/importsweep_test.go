// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func TestAnExportThatNoOperationWillImportIsRemoved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), store.Options{Database: filepath.Join(folder, "farm.sqlite"), Durability: store.DurabilityNormal, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	local, err := os.OpenRoot(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	s := importSweep{db: db, local: local, log: log}
	if err := s.once(t.Context(), time.Now()); err != nil {
		t.Errorf("without anything to import: %v", err)
	}

	uploads := filepath.Join(folder, uploadFolder)
	if err := os.Mkdir(uploads, 0o700); err != nil {
		t.Fatal(err)
	}
	upload := func(age time.Duration) string {
		id := uuid.NewString()
		written := time.Now().Add(-age)
		path := filepath.Join(uploads, id)
		if err := os.WriteFile(path, []byte("an export"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
		return id
	}
	named := func(id string, status farm.OperationStatus) {
		err := db.Do(t.Context(), func(tx *store.Tx) error {
			o, err := tx.InsertOperation(kindImportFarm, json.RawMessage(fmt.Sprintf(`{"upload":%q}`, id)), "user", "")
			if err != nil {
				return err
			}
			o.Status = status
			if status.Ended() {
				o.Ended = tx.Now()
			}
			return tx.SaveOperation(o)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	onItsWay, forgotten, canceled, queued, running := upload(time.Minute), upload(2*time.Hour), upload(2*time.Hour), upload(30*time.Hour), upload(30*time.Hour)
	named(canceled, farm.OperationCanceled)
	named(queued, farm.OperationQueued)
	named(running, farm.OperationRunning)
	if err := s.once(t.Context(), time.Now().Add(-importOnItsWay)); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, err := os.ReadDir(uploads)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := []string{onItsWay, queued, running}
	slices.Sort(want)
	if !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v; forgotten is %s", left, want, forgotten)
	}
}
