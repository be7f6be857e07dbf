// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// The names of engines.
const (
	sqliteName   = "SQLite"
	postgresName = "PostgreSQL"
)

// engine makes databases.
type engine interface {
	name() string
	// database is what a Manager is told, of a new and empty database.
	database(ctx context.Context, folder string) (string, error)
	// processes are those of the database's server, to be watched beside the Manager's.
	processes() []int
}

type sqliteEngine struct{}

func (sqliteEngine) name() string     { return sqliteName }
func (sqliteEngine) processes() []int { return nil }
func (sqliteEngine) database(_ context.Context, folder string) (string, error) {
	return filepath.Join(folder, "farm.sqlite"), nil
}

type postgresEngine struct {
	address string
	pid     int // 0 = it runs elsewhere
}

func (postgresEngine) name() string { return postgresName }

func (p postgresEngine) processes() []int {
	if p.pid == 0 {
		return nil
	}
	return []int{p.pid}
}

func (p postgresEngine) database(ctx context.Context, _ string) (string, error) {
	address, err := url.Parse(p.address)
	if err != nil {
		return "", err
	}
	db, err := sql.Open("pgx", p.address)
	if err != nil {
		return "", err
	}
	defer db.Close()
	name := "bench_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("making a database: %w", err)
	}
	address.Path = "/" + name
	return address.String(), nil
}
