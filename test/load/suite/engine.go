// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"context"
	"database/sql"
	"errors"
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
	// drop erases the databases of a server that were made since the last call; files are erased with their folder.
	drop(ctx context.Context) error
	// processes are those of the database's server, to be watched beside the Manager's.
	processes() []int
}

type sqliteEngine struct{}

func (sqliteEngine) name() string               { return sqliteName }
func (sqliteEngine) processes() []int           { return nil }
func (sqliteEngine) drop(context.Context) error { return nil }
func (sqliteEngine) database(_ context.Context, folder string) (string, error) {
	return filepath.Join(folder, "farm.sqlite"), nil
}

type postgresEngine struct {
	address string
	pid     int // 0 = it runs elsewhere
	made    []string
}

func (*postgresEngine) name() string { return postgresName }

func (p *postgresEngine) processes() []int {
	if p.pid == 0 {
		return nil
	}
	return []int{p.pid}
}

func (p *postgresEngine) database(ctx context.Context, _ string) (string, error) {
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
	p.made = append(p.made, name)
	address.Path = "/" + name
	return address.String(), nil
}

// drop also ends the connections that a Manager which was killed left open.
func (p *postgresEngine) drop(ctx context.Context) (err error) {
	db, err := sql.Open("pgx", p.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, name := range p.made {
		if _, failed := db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); failed != nil {
			err = errors.Join(err, fmt.Errorf("dropping a database: %w", failed))
		}
	}
	p.made = nil
	return err
}
