// SPDX-License-Identifier: GPL-3.0-or-later

// Package postgres runs real PostgreSQL servers for tests, each in a folder of its own, with the programs that the
// system has. It knows nothing of what is kept in them.
package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// patience is how long a server may take to start or to stop on a machine that is busy.
const patience = time.Minute

// Server is a PostgreSQL server that a test started.
type Server struct {
	folder  string
	port    int
	options []string

	mu      sync.Mutex
	process *exec.Cmd
	ended   chan struct{}
	output  bytes.Buffer
}

var shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Main runs the tests of a package that uses Database and ends the server behind them; call it from TestMain.
func Main(run func() int) int {
	code := run()
	if shared.server != nil {
		if err := shared.server.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return max(code, 1)
		}
	}
	return code
}

// Database makes an empty database on the server that all tests of a package share, and returns its address. The server
// does not wait for the disk: what a power cut takes is of no interest here.
func Database(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		shared.server, shared.err = newServer("fsync=off", "full_page_writes=off", "synchronous_commit=off")
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.Database(t)
}

// Start runs a server of its own for a test, with settings as in postgresql.conf.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := newServer(settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.remove(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Open runs a server for a program that is no test; it ends with Close.
func Open(settings ...string) (*Server, error) { return newServer(settings...) }

// Close ends the server and removes what it kept.
func (s *Server) Close() error { return s.remove() }

func newServer(settings ...string) (*Server, error) {
	folder, err := os.MkdirTemp("", "flamenco-postgres-")
	if err != nil {
		return nil, err
	}
	s := &Server{folder: folder}
	if s.port, err = freePort(); err == nil {
		err = s.prepare(settings)
	}
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil //nolint:forcetypeassert // of a TCP listener
}

func (s *Server) prepare(settings []string) error {
	if err := os.Chmod(s.folder, 0o711); err != nil {
		return err
	}
	data := filepath.Join(s.folder, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := giveToServer(data); err != nil {
		return err
	}
	initdb, err := program("initdb")
	if err != nil {
		return err
	}
	command := exec.Command(initdb, "--pgdata", data, "--username", "flamenco", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	command.Dir = data
	asServer(command)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	s.options = []string{
		"-D", data, "-p", fmt.Sprint(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=" + data,
		"-c", "max_connections=300", "-c", "log_min_messages=fatal",
	}
	for _, one := range settings {
		s.options = append(s.options, "-c", one)
	}
	return nil
}

// program finds a program of the newest server on this system.
func program(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) + strings.Compare(a, b) })
		return found[len(found)-1], nil
	}
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s is not installed: the package postgresql has it (make with-deps)", name)
}

// Start starts the server again after Stop or Kill, and waits until it answers.
func (s *Server) Start() error {
	binary, err := program("postgres")
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.output.Reset()
	command := exec.Command(binary, s.options...)
	command.Dir = filepath.Join(s.folder, "data")
	command.Stderr = &s.output
	asServer(command)
	if err := startChild(command); err != nil {
		return err
	}
	s.process, s.ended = command, make(chan struct{})
	go func(ended chan<- struct{}) {
		_ = command.Wait() // how it ended is seen by those who need it
		close(ended)
	}(s.ended)
	return s.waitReady()
}

func (s *Server) waitReady() error {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if err = db.PingContext(ctx); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.ended:
			return fmt.Errorf("postgres ended: %s", s.output.String())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// URL is the address of a database of the server.
func (s *Server) URL(database string) string {
	return fmt.Sprintf("postgres://flamenco@%s/%s?sslmode=disable", s.Addr(), database)
}

// Addr is where the server listens.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }

// PID is the number of the server's first process.
func (s *Server) PID() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process.Process.Pid
}

// Database makes an empty database and returns its address.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	url, err := s.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// NewDatabase makes an empty database and returns its address.
func (s *Server) NewDatabase(ctx context.Context) (string, error) {
	db, err := sql.Open("pgx", s.URL("postgres"))
	if err != nil {
		return "", err
	}
	defer db.Close()
	name := "farm_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if _, err := db.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return s.URL(name), nil
}

func (s *Server) remove() error {
	return errors.Join(s.Kill(), os.RemoveAll(s.folder))
}
