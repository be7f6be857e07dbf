// SPDX-License-Identifier: GPL-3.0-or-later

// Package outbox keeps what a Worker has to tell its Manager until the Manager has acknowledged it: every update goes
// to an SQLite file first, leaves it in order, and survives a crash of the Worker. It owns that file and the order of
// delivery. It must not know HTTP, nor what an update says: delivering one is the caller's function.
package outbox

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"

	_ "modernc.org/sqlite" // the database driver
)

// memoryLimit is how many bytes of updates are held in memory while the disk refuses them.
const memoryLimit = 8 << 20

// Update is one thing to tell the Manager. Assignment names the run of the task that it belongs to and is never empty.
type Update struct {
	ID         int64 // chosen by the Box, grows
	TaskID     string
	Assignment string
	Session    string // "" = made under a Manager that knows no sessions
	Sequence   int64
	Body       []byte
}

// Box is the queue. Its methods may be called from any goroutine.
type Box struct {
	db     *sql.DB
	insert *sql.Stmt
	first  *sql.Stmt
	remove *sql.Stmt

	mu      sync.Mutex
	count   int      // updates in file and memory
	bytes   int64    // size of their bodies
	memory  []Update // what the disk refused, behind everything in the file
	nextMem int64    // ids of those: negative, so that they never meet one of the file
	changed chan struct{}
}

// Open opens the outbox at path, or makes it. A file that is damaged beyond use, or of another program with tables of
// other columns, is set aside as path~damaged, because a Worker that cannot start helps nobody; setAside then says so.
func Open(ctx context.Context, path string) (box *Box, setAside bool, err error) {
	box, err = open(ctx, path)
	if err == nil || !isDamage(err) {
		return box, false, err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		renameErr := os.Rename(path+suffix, path+"~damaged"+suffix)
		if renameErr != nil && !errors.Is(renameErr, os.ErrNotExist) {
			return nil, false, fmt.Errorf("set the damaged outbox aside: %w", renameErr)
		}
	}
	box, err = open(ctx, path)
	return box, true, err
}

func isDamage(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed") || strings.Contains(text, "not a database") ||
		strings.Contains(text, "no such column") || strings.Contains(text, "has no column")
}

const schema = `CREATE TABLE IF NOT EXISTS updates (
	id INTEGER PRIMARY KEY AUTOINCREMENT, task TEXT NOT NULL, assignment TEXT NOT NULL, session TEXT NOT NULL,
	sequence INTEGER NOT NULL, body BLOB NOT NULL)`

func open(ctx context.Context, path string) (*Box, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	// A power cut may lose the last moments (the lease then hands the task out again); a crash of the Worker loses nothing.
	query := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(NORMAL)", "busy_timeout(5000)"}}
	name := filepath.ToSlash(absolute)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/dir on Windows
	}
	source := url.URL{Scheme: "file", Path: name, RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", source.String())
	if err != nil {
		return nil, fmt.Errorf("open the outbox: %w", err)
	}
	db.SetMaxOpenConns(1)
	box := &Box{db: db, changed: make(chan struct{})}
	if err := box.prepare(ctx); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("open the outbox %s: %w", path, err)
	}
	return box, nil
}

func (b *Box) prepare(ctx context.Context) error {
	if _, err := b.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	row := b.db.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM updates`)
	if err := row.Scan(&b.count, &b.bytes); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&b.insert, `INSERT INTO updates (task, assignment, session, sequence, body) VALUES (?, ?, ?, ?, ?)`},
		{&b.first, `SELECT id, task, assignment, session, sequence, body FROM updates ORDER BY id LIMIT 1`},
		{&b.remove, `DELETE FROM updates WHERE id = ?`},
	} {
		stmt, err := b.db.PrepareContext(ctx, p.text)
		if err != nil {
			return err
		}
		*p.stmt = stmt
	}
	return nil
}

// Close closes the file. What is in it stays there for the next Open.
func (b *Box) Close() error { return b.db.Close() }

// Append puts an update at the end. When the disk refuses it, the update waits in memory instead and Append answers the
// disk's error with kept true; only beyond memoryLimit is kept false and the update not taken.
func (b *Box) Append(u Update) (kept bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.memory) == 0 { // else it would overtake them
		// Never with a caller's context: an interrupted write would leave the count wrong.
		_, err = b.insert.Exec(u.TaskID, u.Assignment, u.Session, u.Sequence, u.Body)
		if err == nil {
			b.grow(1, int64(len(u.Body)))
			return true, nil
		}
		err = fmt.Errorf("write to the outbox: %w", err)
	}
	held := int64(len(u.Body))
	for _, m := range b.memory {
		held += int64(len(m.Body))
	}
	if held > memoryLimit {
		return false, errors.Join(err, errors.New("the outbox holds too much in memory"))
	}
	b.nextMem--
	u.ID = b.nextMem
	b.memory = append(b.memory, u)
	b.grow(1, int64(len(u.Body)))
	return true, err
}

// grow changes the counters and wakes whoever waits. The lock is held.
func (b *Box) grow(count int, bytes int64) {
	b.count += count
	b.bytes += bytes
	close(b.changed)
	b.changed = make(chan struct{})
}

// First is the oldest update; ok is false when there is none.
func (b *Box) First() (u Update, ok bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == 0 {
		return Update{}, false, nil
	}
	err = b.first.QueryRow().Scan(&u.ID, &u.TaskID, &u.Assignment, &u.Session, &u.Sequence, &u.Body)
	switch {
	case err == nil:
		return u, true, nil
	case errors.Is(err, sql.ErrNoRows) && len(b.memory) > 0:
		return b.memory[0], true, nil
	case errors.Is(err, sql.ErrNoRows):
		b.grow(-b.count, -b.bytes)
		return Update{}, false, nil
	}
	return Update{}, false, fmt.Errorf("read the outbox: %w", err)
}

// Remove takes an update out, because it was delivered.
func (b *Box) Remove(u Update) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if u.ID < 0 {
		b.dropMemory(func(m Update) bool { return m.ID == u.ID })
		return nil
	}
	result, err := b.remove.Exec(u.ID)
	if err != nil {
		return fmt.Errorf("write to the outbox: %w", err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 1 {
		b.grow(-1, -int64(len(u.Body)))
	}
	return nil
}

// Drop throws away every update of an assignment, because the Manager will have none of it.
func (b *Box) Drop(assignment string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropMemory(func(m Update) bool { return m.Assignment == assignment })
	if _, err := b.db.Exec(`DELETE FROM updates WHERE assignment = ?`, assignment); err != nil {
		return fmt.Errorf("write to the outbox: %w", err)
	}
	var count int
	var bytes int64
	row := b.db.QueryRow(`SELECT COUNT(*), COALESCE(SUM(LENGTH(body)), 0) FROM updates`)
	if err := row.Scan(&count, &bytes); err != nil {
		return fmt.Errorf("read the outbox: %w", err)
	}
	for _, m := range b.memory {
		count++
		bytes += int64(len(m.Body))
	}
	b.grow(count-b.count, bytes-b.bytes)
	return nil
}

func (b *Box) dropMemory(which func(Update) bool) {
	var rest []Update
	for _, m := range b.memory {
		if which(m) {
			b.grow(-1, -int64(len(m.Body)))
			continue
		}
		rest = append(rest, m)
	}
	b.memory = rest
}

// Size is the number of updates that wait, and the bytes of their bodies.
func (b *Box) Size() (count int, bytes int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.count, b.bytes
}

// WaitEmpty waits until nothing is left to deliver.
func (b *Box) WaitEmpty(ctx context.Context) error {
	return b.wait(ctx, func() bool { return b.count == 0 })
}

// waitAny waits until there is something to deliver.
func (b *Box) waitAny(ctx context.Context) error {
	return b.wait(ctx, func() bool { return b.count > 0 })
}

func (b *Box) wait(ctx context.Context, done func() bool) error {
	for {
		b.mu.Lock()
		ok, changed := done(), b.changed
		b.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
