// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// labelled is a whole job type with the label.
func labelled(label string) string {
	return fmt.Sprintf("const JOB_TYPE = {label: %q, description: 'd', settings: []};\nfunction compileJob(job) { %s }\n", label, oneTask)
}

func names(types []Type) string {
	var list []string
	for _, t := range types {
		list = append(list, t.Name)
	}
	return strings.Join(list, " ")
}

func TestScriptsInTheFolderReplaceBuiltInOnesAndOtherFilesAreIgnored(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, map[string]string{
		"echo-sleep-test.js": labelled("Mine"), "my_own_type.js": labelled("Own"), "tiny.js": "x", "README.md": labelled("No"),
		"upper.JS": labelled("No"), "bom.js": "\ufeff" + labelled("BOM"), "twice_x.js": labelled("A"), "twice-x.js": labelled("B"),
	})
	dir := s.opts.ScriptsDir
	if err := os.Mkdir(filepath.Join(dir, "folder.js"), 0o700); err != nil {
		t.Fatal(err)
	}
	types, err := s.Types(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := names(types); got != "bom echo-sleep-test my-own-type simple-blender-render" {
		t.Errorf("there are %s", got)
	}
	echo, err := s.Type(t.Context(), "echo-sleep-test")
	if err != nil || echo.Label != "Mine" {
		t.Errorf("the built-in type was not replaced: %+v, %v", echo, err)
	}
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(echo.ETag) {
		t.Errorf("the etag is %q", echo.ETag)
	}
	if _, err := s.Type(t.Context(), "twice-x"); !farm.IsNotExist(err) || !strings.Contains(err.Error(), "twice_x.js") {
		t.Errorf("two files for one type: %v", err)
	}
	if _, err := s.Type(t.Context(), "unheard-of"); !farm.IsNotExist(err) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestChangedScriptsAreUsedAtOnceAndBrokenOnesLoggedOnce(t *testing.T) {
	t.Parallel()
	var log logBuffer
	s := setupService(t, Options{Log: log.logger()}, map[string]string{"mine.js": labelled("One")})
	file := filepath.Join(s.opts.ScriptsDir, "mine.js")
	first, err := s.Type(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	write(labelled("Two!"))
	second, err := s.Type(t.Context(), "mine")
	if err != nil || second.Label != "Two!" || second.ETag == first.ETag {
		t.Errorf("the new script is not there: %+v, %v", second, err)
	}
	old := mine(nil)
	old.TypeETag = first.ETag
	mustRefuse(t, s, old, farm.CodePrecondition)

	write("\nthis is not javascript")
	for range 3 {
		if types, err := s.Types(t.Context()); err != nil || len(types) != 2 {
			t.Errorf("there are %s, %v", names(types), err)
		}
	}
	if n := strings.Count(log.String(), "cannot be used"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}

	write(labelled("Three"))
	if third, err := s.Type(t.Context(), "mine"); err != nil || third.Label != "Three" {
		t.Errorf("the repaired script is not there: %+v, %v", third, err)
	}
	if err := os.RemoveAll(s.opts.ScriptsDir); err != nil {
		t.Fatal(err)
	}
	if types, err := s.Types(t.Context()); err != nil || len(types) != 2 {
		t.Errorf("without the folder there are %s, %v", names(types), err)
	}
}

func TestAScriptsFolderThatIsAFileIsLoggedAndTheBuiltInTypesRemain(t *testing.T) {
	t.Parallel()
	var log logBuffer
	file := filepath.Join(t.TempDir(), "scripts")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{ScriptsDir: file, Log: log.logger()})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if types, err := s.Types(t.Context()); err != nil || len(types) != 2 {
			t.Errorf("there are %s, %v", names(types), err)
		}
	}
	if n := strings.Count(log.String(), "only the built-in"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

func TestTheDefaultScriptsFolderIsBesideTheExecutable(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(filepath.Dir(exe), "scripts")
	if dir := DefaultScriptsDir(); dir != want {
		t.Errorf("it is %q before there is one, not %q", dir, want)
	}
	if err := os.Mkdir(want, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(want)
	if dir := DefaultScriptsDir(); dir != want {
		t.Errorf("it is %q, not %q", dir, want)
	}
}

func TestManySubmissionsCompileAtTheSameTimeWhileRunKeepsProcessesReady(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf("for (let i = 0; i < job.settings.n; i++) job.addTask(author.Task(`${job.name}-${i}`, 'misc'))"))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	var jobs sync.WaitGroup
	for i := range 12 {
		jobs.Go(func() {
			sub := mine(map[string]any{"n": i + 1})
			sub.Name = fmt.Sprint("job", i)
			job, err := s.Compile(ctx, sub)
			if err != nil || len(job.Tasks) != i+1 || job.Tasks[i].Name != fmt.Sprintf("job%d-%d", i, i) {
				t.Errorf("job %d has %d tasks: %v", i, len(job.Tasks), err)
			}
		})
	}
	jobs.Wait()
	cancel()
	wg.Wait()
	if s.spare != nil {
		t.Error("a process is left behind")
	}
	mustCompile(t, s, mine(nil)) // also without Run
}

func TestAProcessThatIsReadyIsUsedOnceAndOnlyWhileScriptsAreUnchanged(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(oneTask+"globalThis.leak = (globalThis.leak ?? 0) + 1; job.settings.leak = leak"))
	t.Cleanup(s.dropSpare)
	for range 2 {
		if err := s.makeSpare(t.Context()); err != nil {
			t.Fatal(err)
		}
		spare := s.spare
		if err := s.makeSpare(t.Context()); err != nil || s.spare != spare {
			t.Errorf("a good process was replaced: %v", err)
		}
		job := mustCompile(t, s, mine(nil))
		if job.Settings["leak"] != int64(1) {
			t.Errorf("a runtime was used %v times", job.Settings["leak"])
		}
		if s.spare != nil || spare.cmd.ProcessState == nil {
			t.Error("the process that was ready was not used")
		}
	}
	if err := s.makeSpare(t.Context()); err != nil {
		t.Fatal(err)
	}
	writeScripts(t, s.opts.ScriptsDir, map[string]string{"mine.js": scriptOf(oneTask + "job.settings.fresh = true")["mine.js"]})
	if job := mustCompile(t, s, mine(nil)); job.Settings["fresh"] != true {
		t.Error("the old script was used")
	}
}

func TestAProcessThatDiedWhileItWaitedIsReplaced(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(oneTask))
	if err := s.makeSpare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.spare.kill()
	mustCompile(t, s, mine(nil))
}

// killOnLog kills a process when something is logged.
type killOnLog struct {
	slog.Handler
	target func() *process
}

func (k killOnLog) Handle(context.Context, slog.Record) error {
	k.target().kill()
	return nil
}
func (k killOnLog) WithAttrs([]slog.Attr) slog.Handler       { return k }
func (k killOnLog) Enabled(context.Context, slog.Level) bool { return true }

func TestAProcessThatIsKilledAtWorkIsReportedAsACrash(t *testing.T) {
	t.Parallel()
	var victim *process
	handler := killOnLog{slog.DiscardHandler, func() *process { return victim }}
	s := setupService(t, Options{Log: slog.New(handler)}, scriptOf("print('now'); for (;;) {}"))
	if err := s.makeSpare(t.Context()); err != nil {
		t.Fatal(err)
	}
	victim = s.spare
	mustRefuse(t, s, mine(nil), farm.CodeInvalid, "mine.js", "crashed", "killed")
}

func TestCompilingEndsWhenTheCallerLeaves(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf("print('now'); for (;;) {}"))
	if _, err := s.Types(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s.opts.Log = slog.New(cancelOnLog{slog.DiscardHandler, cancel})
	start := time.Now()
	if _, err := s.Compile(ctx, mine(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	if took := time.Since(start); took > s.opts.TimeLimit/2 {
		t.Errorf("it took %v", took)
	}
	if _, err := s.Types(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

type cancelOnLog struct {
	slog.Handler
	cancel func()
}

func (c cancelOnLog) Handle(context.Context, slog.Record) error {
	c.cancel()
	return nil
}
func (c cancelOnLog) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c cancelOnLog) Enabled(context.Context, slog.Level) bool { return true }

func TestAProgramThatIsNotThereIsNobodysFault(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{Executable: filepath.Join(t.TempDir(), "gone")}, nil)
	_, err := s.Types(t.Context())
	if err == nil || farm.CodeOf(err) != "" || !strings.Contains(err.Error(), "compiler process") {
		t.Errorf("the error is %v", err)
	}
}
