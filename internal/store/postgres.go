// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"flamenco.farm/internal/farm"
)

// oldestPostgres is the oldest server that is supported, as the server itself says it.
const oldestPostgres = 150000

const (
	// writeConns is how many transactions of one Manager may write at once. Most of them wait for the same job anyway;
	// more only make the database wake more of them in vain.
	writeConns = 8
	// idleInTransaction ends a transaction whose Manager went away without a word: it would keep others waiting.
	idleInTransaction = time.Minute
	// connectTimeout is for one address of a server.
	connectTimeout = 5 * time.Second
)

// IsPostgres reports whether a database setting names a PostgreSQL database rather than a file.
func IsPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// NameOf is a database setting as it may be shown: without a password.
func NameOf(database string) string {
	if !IsPostgres(database) {
		return database
	}
	u, err := url.Parse(database)
	if err != nil {
		return "PostgreSQL"
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	if u.User != nil {
		shown.User = url.User(u.User.Username())
	}
	return shown.String()
}

// CheckName reports what is wrong with a database setting, without connecting and without showing a password.
func CheckName(database string) error {
	if !IsPostgres(database) {
		return nil
	}
	_, err := parsePostgres(database)
	return err
}

func parsePostgres(database string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, farm.Errorf(farm.CodeInvalid, "this is no address of a PostgreSQL database; it looks like postgres://user:password@host:5432/name")
	}
	return cfg, nil
}

// openPostgres opens a pool of connections. Readers cannot write.
func openPostgres(opts Options, r role) (*sql.DB, error) {
	cfg, err := parsePostgres(opts.Database)
	if err != nil {
		return nil, err
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = connectTimeout
	}
	if len(cfg.Fallbacks) > 0 && cfg.ValidateConnect == nil {
		cfg.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary
	}
	set := func(name, value string) {
		if _, given := cfg.RuntimeParams[name]; !given {
			cfg.RuntimeParams[name] = value
		}
	}
	set("application_name", "flamenco-manager")
	set("timezone", "UTC")
	set("default_transaction_isolation", "read committed")
	set("idle_in_transaction_session_timeout", milliseconds(idleInTransaction))
	set("jit", "off") // to compile a statement takes longer than any of ours
	// Rows are found by their keys. A plan that was made while a table was small must do when it has grown.
	set("enable_seqscan", "off")
	conns := writeConns
	switch r {
	case reader, looker:
		conns = max(4, 2*runtime.NumCPU())
		cfg.RuntimeParams["default_transaction_read_only"] = "on"
		set("statement_timeout", milliseconds(readLimit))
	case writer:
		set("plan_cache_mode", "force_generic_plan")
		if opts.Durability == DurabilityNormal {
			cfg.RuntimeParams["synchronous_commit"] = "off"
		}
	case keeper:
		conns = 1
		set("statement_timeout", milliseconds(readLimit))
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// connectPostgres checks that the server can be used, waiting for one that is just starting.
func (s *Store) connectPostgres(ctx context.Context, patience time.Duration) error {
	var version int
	for start := time.Now(); ; {
		err := s.write.QueryRowContext(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version)
		if err == nil {
			break
		}
		if !isAway(err) || time.Since(start) > patience {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if version < oldestPostgres {
		return farm.Errorf(farm.CodeInvalid, "this PostgreSQL is version %d; Flamenco needs %d or later", version/10000, oldestPostgres/10000)
	}
	return nil
}

// pause waits for d, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lookPostgres tells by its tables whose database it is. Those of extensions say nothing.
func lookPostgres(ctx context.Context, db *sql.DB) (contents, error) {
	var tables, own int
	err := db.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE c.relname = 'job_ready')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND c.relname <> 'goose_db_version'
    AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')`).Scan(&tables, &own)
	switch {
	case err != nil:
		return nothing, err
	case tables == 0:
		return nothing, nil
	case own > 0:
		return ours, nil
	}
	return somethings, nil
}

// The codes of PostgreSQL that mean something here: https://www.postgresql.org/docs/15/errcodes-appendix.html
const (
	pgUnique        = "23505"
	pgSerialization = "40001"
	pgDeadlock      = "40P01"
	pgLockTimeout   = "55P03"
)

func postgresCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// isRetryable reports errors after which the same transaction may succeed when it is run again: the database ended it in
// favour of another one.
func isRetryable(err error) bool {
	switch postgresCode(err) {
	case pgSerialization, pgDeadlock, pgLockTimeout:
		return true
	}
	return false
}

// isAway reports that the server cannot be reached, is starting or stopping, or ended the connection.
func isAway(err error) bool {
	if err == nil {
		return false
	}
	if code := postgresCode(err); code != "" {
		// 08 connection exception, 53300 too many connections, 57P0x the server stops or starts, 25P03 idle in transaction
		return strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P0") || code == "53300" || code == "25P03" || code == "25006"
	}
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, driver.ErrBadConn) ||
		pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// postgresStorage is what to say of an error that the storage of the server causes, "" if it is none.
func postgresStorage(err error) string {
	switch code := postgresCode(err); {
	case code == "53100":
		return "the disk of the Manager's database is full"
	case strings.HasPrefix(code, "53"), strings.HasPrefix(code, "58"), strings.HasPrefix(code, "XX"):
		return "the Manager's database cannot be written"
	}
	return ""
}
