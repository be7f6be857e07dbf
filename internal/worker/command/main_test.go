// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/worker/process"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == process.ShimArgument {
		os.Exit(process.ShimMain())
	}
	os.Exit(m.Run())
}

// record is what a command told its Env.
type record struct {
	mu      sync.Mutex
	log     []string
	steps   int
	outputs []string
	onLine  func(line string)
}

var pidPrefix = regexp.MustCompile(`^pid=[1-9][0-9]* > `)

// text is the log with process numbers made equal.
func (r *record) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var text strings.Builder
	for _, line := range r.log {
		text.WriteString(pidPrefix.ReplaceAllString(line, "pid=N > ") + "\n")
	}
	return text.String()
}

// newEnv is an Env whose processes are marked as the test's.
func newEnv(t *testing.T) (Env, *record) {
	t.Helper()
	r := &record{}
	return Env{
		Log: func(line string) {
			r.mu.Lock()
			r.log = append(r.log, line)
			r.mu.Unlock()
			if r.onLine != nil {
				r.onLine(line)
			}
		},
		Step:       func(n int) { r.steps += n },
		Output:     func(path string) { r.outputs = append(r.outputs, path) },
		Assignment: fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()),
		Home:       t.TempDir(),
		Grace:      200 * time.Millisecond,
	}, r
}

// run decodes and runs a command.
func run(t *testing.T, env Env, steps int, name string, parameters map[string]any) error {
	t.Helper()
	c, err := Decode(Raw{Name: name, Parameters: parameters, TotalStepCount: steps})
	if err != nil {
		t.Fatal(err)
	}
	return c.Run(t.Context(), env)
}

// script writes an executable shell script.
func script(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}
