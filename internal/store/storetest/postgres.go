// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"database/sql"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/testkit/postgres"
)

// Postgres opens an empty PostgreSQL database on the server that the tests of a package share.
func Postgres(t testing.TB, onCommit func([]farm.Change)) (*store.Store, *sql.DB) {
	t.Helper()
	address := postgres.Database(t)
	return OpenPostgres(t, address, onCommit), LookAtPostgres(t, address)
}

// OpenPostgres opens a database as one more Manager does.
func OpenPostgres(t testing.TB, address string, onCommit func([]farm.Change)) *store.Store {
	t.Helper()
	st, err := store.Open(t.Context(), store.Options{Database: address, Log: slog.New(slog.DiscardHandler), OnCommit: onCommit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

// LookAtPostgres is a second look at the rows of a database; each of its transactions sees one moment.
func LookAtPostgres(t testing.TB, address string) *sql.DB {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	params := u.Query()
	params.Set("default_transaction_isolation", "repeatable read")
	u.RawQuery = strings.ReplaceAll(params.Encode(), "+", "%20")
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}
