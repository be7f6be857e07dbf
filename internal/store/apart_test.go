// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/testkit/postgres"
)

// openOnPostgres opens an empty database, with another connection to it.
func openOnPostgres(t *testing.T) (*Store, *sql.DB) {
	t.Helper()
	address := postgres.Database(t)
	s, err := Open(t.Context(), Options{Database: address, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, connect(t, address)
}

func connect(t *testing.T, address string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestAManagerIsKnownToBeThereWhileItsOtherConnectionsWaitForAnImport(t *testing.T) {
	t.Parallel()
	s, other := openOnPostgres(t)
	var names []string
	for _, table := range exportedTables() {
		names = append(names, table.name)
	}
	if _, err := other.Exec("BEGIN; TRUNCATE " + strings.Join(names, ", ")); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	for range s.read.Stats().MaxOpenConnections {
		calls.Go(func() { _, _ = s.Tags(t.Context()) })
	}
	for range s.write.Stats().MaxOpenConnections {
		calls.Go(func() {
			_ = s.Do(t.Context(), func(tx *Tx) error { _, err := tx.AnyWorker("w"); return err })
		})
	}
	for what, db := range map[string]*sql.DB{"readers": s.read, "writers": s.write} {
		eventually(t, "all "+what+" wait", func() bool { return db.Stats().InUse == db.Stats().MaxOpenConnections })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Maintenance(ctx); err != nil {
		t.Errorf("the mode cannot be read: %v", err)
	}
	err := s.DoApart(ctx, func(tx *Tx) error {
		return tx.SaveManager(farm.ManagerState{ID: "m", Name: "m", State: farm.ManagerRunning})
	})
	if err != nil || ctx.Err() != nil { // calls that wait are given up only later
		t.Errorf("the Manager cannot say in time that it is there: %v", err)
	}
	if _, err := other.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	calls.Wait()
}
