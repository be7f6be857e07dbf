// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"context"
	"encoding/json"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

// TestScriptsFindTheirGlobals evaluates expressions as the value of a setting.
func TestScriptsFindTheirGlobals(t *testing.T) {
	t.Parallel()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 23, 10, 20, 30, 123e6, time.UTC)
	files := scriptOf("")
	files["half_helper.js"] = "exports.twice = (x) => 2 * x; exports.name = require('author').Task('t', 'x').name;"
	files["whole.js"] = "module.exports = require('path').join('a', 'b');"
	expressions := map[string]any{
		"frameChunker('1-10, 20..21', 4)":                      []any{"1-4", "5-8", "9,10,20,21"},
		"frameChunker(7, '2')":                                 []any{"7"},
		"frameCount('1-10,5..12')":                             int64(12),
		"formatTimestampLocal(job.created)":                    at.Local().Format("2006-01-02_150405"),
		"job.created instanceof Date && job.created.getTime()": at.UnixMilli(),
		`shellSplit('a "b c" d\\ e')`:                          []any{"a", "b c", "d e"},
		"shellSplit('')":                                       []any{},
		`path.basename('C:\\x\\y.blend')`:                      "y.blend",
		"path.dirname('/a/b')":                                 "/a",
		"path.join('a', 'b', '../c')":                          "a/c",
		"path.stem('/a/b.c.d')":                                "b.c",
		"process.cwd()":                                        dir,
		"process.platform":                                     runtime.GOOS,
		"require('path') === path":                             true,
		"require('author') === author":                         true,
		"require('process') === process":                       true,
		"require('half_helper').twice(4)":                      int64(8),
		"require('./half_helper.js').name":                     "t",
		"require('whole')":                                     "a/b",
		"require('whole.js') === require('./whole')":           true,
		"new author.Task('t', 'x').priority":                   int64(50),
		"author.Command('c').totalStepCount":                   int64(0),
		"[job.jobID, job.name, job.jobType, job.priority]":     []any{"the-id", "a job", "mine", int64(50)},
		"[job.status, job.workerTagUUID]":                      []any{"under-construction", "the-tag"},
		"job.storage.shamanCheckoutID":                         "the-checkout",
		"job.metadata.who":                                     "me",
		"0.5":                                                  0.5,
		"5.0":                                                  int64(5),
		"2 ** 53":                                              int64(1 << 53),
		"1e300":                                                1e300,
		"[1, 2.5, {a: [true, null]}]":                          []any{int64(1), 2.5, map[string]any{"a": []any{true, nil}}},
	}
	body := oneTask
	for expression := range expressions {
		key, err := json.Marshal(expression)
		if err != nil {
			t.Fatal(err)
		}
		body += "job.settings[" + string(key) + "] = " + expression + ";\n"
	}
	files["mine.js"] = scriptOf(body)["mine.js"]
	sub := mine(nil)
	sub.JobID, sub.TagID, sub.ShamanCheckoutID, sub.Created = "the-id", "the-tag", "the-checkout", at
	sub.Metadata = map[string]string{"who": "me"}
	job := mustCompile(t, setupService(t, Options{}, files), sub)
	for expression, want := range expressions {
		if diff := cmp.Diff(want, job.Settings[expression]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expression, diff)
		}
	}
}

func TestWhatAScriptChangesIsStoredAndTheRestStaysAsSubmitted(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(oneTask+"job.settings.n += 1; job.settings.fresh = {a: 1}; delete job.settings.gone; "+
		"job.settings.cleared = undefined; job.name += '!'; job.priority = 70; job.metadata.added = 'yes'; job.status = 'failed'"))
	sub := mine(map[string]any{
		"n": 4.0, "x": 2.0, "gone": 1, "cleared": 1, "big": int64(9007199254740993), "unknown": map[string]any{"a": nil},
	})
	sub.Metadata = map[string]string{"who": "me"}
	before := map[string]any{}
	for key, value := range sub.Settings {
		before[key] = value
	}
	job := mustCompile(t, s, sub)
	want := map[string]any{
		"n": int64(5), "x": 2.0, "big": int64(9007199254740993), "unknown": map[string]any{"a": nil},
		"fresh": map[string]any{"a": int64(1)},
	}
	if diff := cmp.Diff(want, job.Settings); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"who": "me", "added": "yes"}, job.Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if job.Name != "a job!" || job.Priority != 70 || job.InitialStatus != "" {
		t.Errorf("the job is %q with priority %d and status %q", job.Name, job.Priority, job.InitialStatus)
	}
	if diff := cmp.Diff(before, sub.Settings); diff != "" {
		t.Errorf("the caller's settings changed (-want +got):\n%s", diff)
	}
	text, err := json.Marshal(job.Settings)
	if err != nil || !strings.Contains(string(text), `"n":5,`) {
		t.Errorf("a whole number did not stay one: %s, %v", text, err)
	}
}

func TestTasksKeepAllThatTheScriptGaveThem(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(`
		const a = new author.Task('a', 'misc');
		a.addCommand(new author.Command('one', {n: 1, f: 1.5, list: ['x', 2], skipped: undefined}, 3));
		a.commands.push({name: 'plain', parameters: null});
		const b = author.Task(' b ', 'blender');
		b.priority = 80;
		b.onDisconnect = 'stop';
		b.addDependency(a);
		b.addDependency(a);
		job.addTask(b);
		job.addTask(a);`))
	job := mustCompile(t, s, mine(nil))
	want := []farm.NewTask{
		{Name: " b ", Type: "blender", Priority: 80, OnDisconnect: "stop", Commands: []farm.Command{}, Dependencies: []int{1}},
		{Name: "a", Type: "misc", Priority: 50, Commands: []farm.Command{
			{Name: "one", Parameters: map[string]any{"n": int64(1), "f": 1.5, "list": []any{"x", int64(2)}}, TotalStepCount: 3},
			{Name: "plain", Parameters: map[string]any{}},
		}},
	}
	if diff := cmp.Diff(want, job.Tasks); diff != "" {
		t.Errorf("tasks (-want +got):\n%s", diff)
	}
	if len(job.ID) != 36 {
		t.Errorf("the job has the id %q", job.ID)
	}
}

func TestWhatScriptsPrintGoesToTheLogAndIsBounded(t *testing.T) {
	t.Parallel()
	var log logBuffer
	s := setupService(t, Options{Log: log.logger()}, scriptOf(oneTask+
		"print('a', 1, {b: [2]}, undefined); alert('careful'); print(new Error('shown')); print(''); for (let i = 0; i < 5000; i++) print('line', i)"))
	mustCompile(t, s, mine(nil))
	text := log.String()
	for _, want := range []string{
		`level=INFO msg="job type script: a 1 {\"b\":[2]} undefined" script=mine.js`, `level=WARN msg="job type script: careful"`,
		"Error: shown", "the rest is dropped",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the log does not say %s", want)
		}
	}
	if n := strings.Count(text, "\n"); n > maxLogLines+2 {
		t.Errorf("the log has %d lines", n)
	}
}

func TestWhatAScriptPrintsIsLoggedEvenIfItNeverEnds(t *testing.T) {
	t.Parallel()
	var log logBuffer
	s := setupService(t, Options{Log: log.logger()}, scriptOf("print('here I am'); for (;;) {}"))
	limitCompiling(t, s, 700*time.Millisecond)
	mustRefuse(t, s, mine(nil), farm.CodeInvalid, "longer")
	if !strings.Contains(log.String(), "here I am") {
		t.Error("the log does not have it")
	}
}

func TestScriptsSeeNothingOfTheManagersEnvironment(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(oneTask+"job.settings.found = Object.getOwnPropertyNames(globalThis).join()"))
	job := mustCompile(t, s, mine(nil))
	found, _ := job.Settings["found"].(string)
	for _, name := range []string{"std", "os", "scriptArgs", "__load", "__emit", "host"} {
		if strings.Contains(","+found+",", ","+name+",") {
			t.Errorf("scripts can see %s", name)
		}
	}
	if _, err := s.Types(context.Background()); err != nil {
		t.Error(err)
	}
}
