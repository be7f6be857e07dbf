// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"

	"flamenco.farm/internal/farm"
)

// maxProblems is how many problems one check lists.
const maxProblems = 100

// Progress hears how much of something is done; it must not block.
type Progress func(done, total int)

func (p Progress) tell(done, total int) {
	if p != nil {
		p(done, total)
	}
}

// CheckError is a database that is not as it should be.
type CheckError struct {
	Problems []string // at most 100
	More     bool     // there are more than those
}

func (e *CheckError) Error() string {
	text := "the database is damaged: " + strings.Join(e.Problems[:min(3, len(e.Problems))], "; ")
	if e.More || len(e.Problems) > 3 {
		text += "; and more"
	}
	return text
}

func (e *CheckError) add(problem string) {
	if len(e.Problems) == maxProblems {
		e.More = true
		return
	}
	e.Problems = append(e.Problems, problem)
}

// Check reads the whole database and says with a *CheckError what is wrong with it; any other error means that it could
// not be checked. It stops nobody, and what it reads is one moment: the structure of the file first, then the references
// of each table.
func (s *Store) Check(ctx context.Context, progress Progress) error {
	if s.clock != nil {
		return errChecksItself
	}
	return check(ctx, s.read, progress)
}

var errChecksItself = farm.Errorf(farm.CodePrecondition, "a PostgreSQL database is checked with the server's own tool, pg_amcheck")

// CheckFile is Check for a file, whether a Manager has it open or not. It changes nothing.
func CheckFile(ctx context.Context, path string, progress Progress) error {
	if IsPostgres(path) {
		return errChecksItself
	}
	db, err := openLooker(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(check(ctx, db, progress), db.Close())
}

func check(ctx context.Context, db *sql.DB, progress Progress) error {
	found := &CheckError{}
	if err := found.checkAll(ctx, db, progress); err != nil {
		switch sqliteCode(err) {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR:
			found.add(err.Error()) // it cannot even be read to the end
		default:
			return fmt.Errorf("checking the database: %w", wrap(err))
		}
	}
	if len(found.Problems) > 0 {
		return found
	}
	return nil
}

func (e *CheckError) checkAll(ctx context.Context, db *sql.DB, progress Progress) error {
	tables, err := texts(ctx, db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name", maxTables)
	if err != nil {
		return err
	}
	progress.tell(0, 1+len(tables))
	lines, err := texts(ctx, db, fmt.Sprintf("PRAGMA quick_check(%d)", maxProblems+1), maxProblems+1)
	for _, line := range lines {
		if line != "ok" {
			e.add(line)
		}
	}
	if err != nil {
		return err
	}
	for i, table := range tables {
		progress.tell(1+i, 1+len(tables))
		if err := e.checkReferences(ctx, db, table); err != nil {
			return err
		}
	}
	progress.tell(1+len(tables), 1+len(tables))
	return nil
}

// maxTables is more than any database of ours has.
const maxTables = 1000

func (e *CheckError) checkReferences(ctx context.Context, db *sql.DB, table string) error {
	lines, err := texts(ctx, db, fmt.Sprintf(`SELECT printf('row %%s of %%s names a row of %%s that is not there', rowid, "table", parent)
FROM pragma_foreign_key_check($1) LIMIT %d`, maxProblems+1), maxProblems+1, table)
	for _, line := range lines {
		e.add(line)
	}
	return err
}

// texts is the first column of at most n rows.
func texts(ctx context.Context, db queryer, query string, n int, args ...any) (found []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for len(found) < n && rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return found, err
		}
		found = append(found, text)
	}
	return found, rows.Err()
}

// openLooker opens a file to look at it only.
func openLooker(ctx context.Context, path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("there is no database: %w", err)
	}
	db, err := openSQLite(Options{Database: path, BusyTimeout: 5 * time.Second}, looker)
	if err != nil {
		return nil, err
	}
	found, err := look(ctx, db)
	switch {
	case err != nil:
		err = explain(path, err)
	case found == nothing:
		err = farm.Errorf(farm.CodeInvalid, "it is empty")
	default:
		err = found.refuse()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", path, wrap(err)), db.Close())
	}
	return db, nil
}
