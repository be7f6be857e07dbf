// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"flamenco.farm/internal/farm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain makes the test binary its own compiler process, as the Manager's binary is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == CompileArg {
		os.Exit(ChildMain(os.Stdin, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

// setup makes a service whose scripts folder holds the files.
func setupService(tb testing.TB, opts Options, files map[string]string) *Service {
	tb.Helper()
	opts.ScriptsDir = tb.TempDir()
	writeScripts(tb, opts.ScriptsDir, files)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s, err := New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func writeScripts(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// scriptOf is a whole job type whose compileJob has the body on its first line, which is line 2 of the file.
func scriptOf(body string) map[string]string {
	return map[string]string{"mine.js": "const JOB_TYPE = {label: 'Mine', settings: [{key: 'n', type: 'int32', default: 5}, " +
		"{key: 'x', type: 'float'}, {key: 'frames', type: 'string'}]};\nfunction compileJob(job) { " + body + "\n}\n"}
}

// oneTask is what a script needs for a job that compiles.
const oneTask = "job.addTask(author.Task('t', 'misc'));"

func mine(settings map[string]any) Submission {
	return Submission{Name: "a job", Type: "mine", Priority: 50, Settings: settings}
}

func mustCompile(tb testing.TB, s *Service, sub Submission) farm.NewJob {
	tb.Helper()
	job, err := s.Compile(context.Background(), sub)
	if err != nil {
		tb.Fatalf("compiling: %v", err)
	}
	return job
}

// mustRefuse compiles what must not compile and checks that the error has the code and all of the words.
func mustRefuse(tb testing.TB, s *Service, sub Submission, code farm.Code, words ...string) {
	tb.Helper()
	_, err := s.Compile(context.Background(), sub)
	if err == nil {
		tb.Fatal("it compiled")
	}
	if got := farm.CodeOf(err); got != code {
		tb.Errorf("the error has code %q, not %q: %v", got, code, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			tb.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// logBuffer collects a log that several goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }
