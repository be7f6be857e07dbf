// SPDX-License-Identifier: GPL-3.0-or-later

package suite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"flamenco.farm/test/load/driver"
)

// patience is how long a server may take to listen, or to end.
const patience = time.Minute

// server is a Manager, or the bare ceiling, that runs.
type server struct {
	url     *url.URL
	cmd     *exec.Cmd
	done    chan struct{} // closed when it has ended
	logPath string
}

// configuration of a Manager that is measured. Nothing times out by itself, and no files are collected meanwhile.
const configuration = `_meta:
  version: 3
listen: 127.0.0.1:0
autodiscoverable: false
shared_storage_path: shared
local_manager_storage_path: %s
worker_timeout: 1m
job_compiler:
  time_limit: 2m
shaman:
  enabled: true
  garbageCollect:
    period: 0s
`

// newFolder is an empty folder for one server or database.
func (s *suite) newFolder() (string, error) {
	s.started++
	folder := filepath.Join(s.Folder, fmt.Sprintf("%03d", s.started))
	return folder, os.MkdirAll(folder, 0o755)
}

// manager starts a Manager on a database. env is added to its environment.
func (s *suite) manager(ctx context.Context, database string, env ...string) (*server, error) {
	folder, err := s.newFolder()
	if err != nil {
		return nil, err
	}
	program := filepath.Join(folder, "flamenco-manager")
	original, err := filepath.Abs(s.Manager)
	if err != nil {
		return nil, err
	}
	if err := placeProgram(original, program); err != nil {
		return nil, err
	}
	if err := os.Mkdir(filepath.Join(folder, "scripts"), 0o755); err != nil {
		return nil, err
	}
	files := map[string]string{
		"flamenco-manager.yaml":                     fmt.Sprintf(configuration, filepath.Join(folder, "storage")),
		filepath.Join("scripts", driver.ScriptFile): driver.Script,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	env = append(env, "FLAMENCO_MANAGER_DATABASE="+database, "FLAMENCO_MANAGER_DURABILITY="+s.durability())
	return start(ctx, folder, env, program)
}

// placeProgram gives a program another place, because a Manager looks for scripts beside itself.
func placeProgram(original, place string) error {
	if os.Link(original, place) == nil {
		return nil
	}
	text, err := os.ReadFile(original)
	if err != nil {
		return err
	}
	return os.WriteFile(place, text, 0o755)
}

// bare starts the bare ceiling on a database.
func (s *suite) bare(ctx context.Context, database string) (*server, error) {
	folder, err := s.newFolder()
	if err != nil {
		return nil, err
	}
	return start(ctx, folder, nil, s.Self, "bare", "-database", database, fmt.Sprintf("-full=%v", s.full))
}

var listening = regexp.MustCompile(`listening.*url=(http://[^ /\n]+)`)

// start runs a program until it says where it listens.
func start(ctx context.Context, folder string, env []string, program string, args ...string) (*server, error) {
	srv := &server{done: make(chan struct{}), logPath: filepath.Join(folder, "log")}
	log, err := os.Create(srv.logPath)
	if err != nil {
		return nil, err
	}
	output, input := io.Pipe()
	srv.cmd = exec.Command(program, args...)
	srv.cmd.Dir = folder
	srv.cmd.Env = append(os.Environ(), env...)
	srv.cmd.Stdout = io.MultiWriter(log, input)
	srv.cmd.Stderr = srv.cmd.Stdout
	if err := srv.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	go func() {
		_ = srv.cmd.Wait() // how it ended is in its log
		_ = input.Close()
		_ = log.Close()
		close(srv.done)
	}()
	found := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				found <- m[1]
				break
			}
		}
		_, _ = io.Copy(io.Discard, output) // the log has it
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case address := <-found:
		srv.url, err = url.Parse(address)
		return srv, err
	case <-srv.done:
		text, _ := os.ReadFile(srv.logPath)
		return nil, fmt.Errorf("%s ended at once: %s", program, text)
	case <-timeout.C:
	case <-ctx.Done():
	}
	srv.stop()
	return nil, fmt.Errorf("%s does not listen, see %s", program, srv.logPath)
}

// stop asks the server to end, and ends it when it does not.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-s.done:
	case <-timeout.C:
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// farm is the servers as a load sees them.
func (s *suite) farm(servers ...*server) driver.Farm {
	f := driver.Farm{PIDs: s.engine.processes()}
	for _, srv := range servers {
		f.Managers = append(f.Managers, srv.url)
		f.PIDs = append(f.PIDs, srv.pid())
	}
	return f
}
