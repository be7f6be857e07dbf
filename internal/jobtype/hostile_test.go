// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"context"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// hostile lists scripts that must end in an error for the submitter, whatever they do to the process they run in.
var hostile = []struct {
	name  string
	body  string // on line 2 of mine.js
	words []string
}{
	{"throws an error", "throw new Error('no thanks')", []string{"script mine.js, line 2: no thanks"}},
	{"throws an error further down", "\n\n  null.x;", []string{"mine.js, line 4: TypeError"}},
	{"throws a string", "\n if (1) throw 'just a string';", []string{"mine.js, line 3: just a string"}},
	{"throws an object", "throw {message: 'an object'}", []string{"mine.js, line 2: an object"}},
	{"throws nothing", "throw undefined", []string{"mine.js, line 2: undefined"}},
	{"throws a trap", "throw {get message() { throw 1 }}", []string{"mine.js", "cannot be shown"}},
	{"throws in a callback", "[1].forEach(() => {\n throw 'inside' })", []string{"line 3: inside"}},
	{"loops for ever", "\nfor (;;) { Math.abs(1) }", []string{"mine.js, line ", "longer than the limit of 700ms, in this line or in a loop"}},
	{"catches its own end", "for (;;) { try { for (;;) {} } catch (e) {} finally { continue } }", []string{"mine.js", "longer"}},
	{"makes a regular expression explode", `/^(a+)+\1$/.test('a'.repeat(60) + 'b')`, []string{"mine.js", "longer"}},
	{"recurses for ever", "(function f() { f() })()", []string{"mine.js, line 2", "stack overflow"}},
	{"eats memory in a list", "const a = []; for (;;) a.push('some text ' + a.length)", []string{"mine.js", "more memory", "16 MiB"}},
	{"eats memory in lists", "const a = []; for (;;) a.push(new Array(50).fill('x' + a.length))", []string{"mine.js", "more memory"}},
	{"throws null", "throw null", []string{"mine.js, line 2: null"}},
	{"eats memory at once", "new Array(1e9).fill(0)", []string{"mine.js"}},
	{"eats memory in a string", "let s = 'x'; for (;;) s = (s + s).toUpperCase()", []string{"mine.js"}},
	{"eats memory in a buffer", "const a = []; for (;;) a.push(new Uint8Array(1e7))", []string{"mine.js", "more memory"}},
	{"adds no tasks", "", []string{"mine.js", "added no tasks"}},
	{"adds rubbish", "job.addTask('x')", []string{"mine.js, line 2", "author.Task", "x"}},
	{"puts rubbish among the tasks", "job.tasks.push({})", []string{"mine.js", "job.tasks[0]"}},
	{"replaces the tasks", "job.tasks = 5", []string{"mine.js", "job.tasks is 5"}},
	{"replaces the settings", oneTask + "job.settings = 5", []string{"mine.js", "job.settings is 5"}},
	{"empties the name", oneTask + "job.name = ' '", []string{"mine.js", "job.name"}},
	{"sets a fractional priority", oneTask + "job.priority = 1.5", []string{"mine.js", "job.priority is 1.5"}},
	{
		"sets a task's priority to text", "const t = author.Task('t', 'x'); t.priority = 'high'; job.addTask(t)",
		[]string{"mine.js", `task "t": priority is high`},
	},
	{
		"sets an unknown onDisconnect", "const t = author.Task('t', 'x'); t.onDisconnect = 'cry'; job.addTask(t)",
		[]string{`task "t"`, "onDisconnect is cry"},
	},
	{"adds a command that is none", "author.Task('t', 'x').addCommand(7)", []string{"line 2", `task "t"`, "author.Command"}},
	{"hides a command that is none", "const t = author.Task('t', 'x'); t.commands.push(null); job.addTask(t)", []string{`task "t"`}},
	{"replaces the commands", "const t = author.Task('t', 'x'); t.commands = 1; job.addTask(t)", []string{`task "t": commands is 1`}},
	{"replaces the dependencies", "const t = author.Task('t', 'x'); t.dependencies = 1; job.addTask(t)", []string{"dependencies is 1"}},
	{
		"gives parameters that are a list", "const t = author.Task('t', 'x'); t.addCommand(author.Command('c', [])); job.addTask(t)",
		[]string{`command "c"`, "not an object"},
	},
	{
		"gives a parameter that is no number", "const t = author.Task('t', 'x'); t.addCommand(author.Command('c', {a: [0/0]})); job.addTask(t)",
		[]string{`task "t"`, `command "c"`, "parameter.a[0] is NaN"},
	},
	{
		"gives a function as parameter", "const t = author.Task('t', 'x'); t.addCommand(author.Command('c', {f() {}})); job.addTask(t)",
		[]string{"parameter.f is a function"},
	},
	{
		"gives parameters that hold themselves", "const p = {}; p.p = p; const t = author.Task('t', 'x'); t.addCommand(author.Command('c', p)); job.addTask(t)",
		[]string{"contains itself"},
	},
	{
		"gives a negative step count", "const t = author.Task('t', 'x'); t.addCommand(author.Command('c', {}, -1)); job.addTask(t)",
		[]string{"totalStepCount is -1"},
	},
	{"names a task with spaces", "author.Task('  ', 'misc')", []string{"line 2", "name is empty"}},
	{"names a task with a zero byte", `job.addTask(author.Task('a\0b', 'misc'))`, []string{"zero byte"}},
	{"gives a task no type", "author.Task('t')", []string{"line 2", `"t"`, "type is empty"}},
	{"gives a command no name", "author.Command('')", []string{"line 2", "name is empty"}},
	{"adds a task twice", "const t = author.Task('t', 'misc'); job.addTask(t); job.addTask(t)", []string{`"t"`, "twice"}},
	{
		"depends on a task outside the job", "const t = author.Task('t', 'misc'); t.addDependency(author.Task('gone', 'misc')); job.addTask(t)",
		[]string{`"t" depends on "gone"`, "not a task of this job"},
	},
	{"depends on a text", "author.Task('t', 'misc').addDependency('gone')", []string{"line 2", `"t"`, "gone"}},
	{"depends in a circle", "const [a, b, c] = ['a', 'b', 'c'].map((n) => author.Task(n, 'misc')); a.addDependency(b); b.addDependency(c); " +
		"c.addDependency(b); [a, b, c].forEach((t) => job.addTask(t))", []string{"circular", `"b" needs "c" needs "b"`}},
	{"depends on itself", "const t = author.Task('t', 'misc'); t.addDependency(t); job.addTask(t)", []string{"circular", `"t" needs "t"`}},
	{"adds tasks without end", "for (;;) job.addTask(author.Task('t', 'misc'))", []string{"line 2", "more than 1000 tasks"}},
	{"adds tasks behind our back", "for (let i = 0; i < 1100; i++) job.tasks.push(author.Task('t', 'misc'))", []string{"more than 1000 tasks"}},
	{"makes too much output", "for (let i = 0; i < 900; i++) job.addTask(author.Task('t' + 'x'.repeat(300), 'misc'))", []string{"mine.js", "0.2 MB"}},
	{"is asynchronous", "return Promise.resolve()", []string{"mine.js", "asynchronous"}},
	{"requires what is not there", "require('fs')", []string{"line 2", "fs"}},
	{"reaches for files", "require('../secret.js')", []string{"line 2", "secret"}},
	{"reaches for the host", "__load('mine.js')", []string{"line 2", "ReferenceError"}},
	{
		"breaks our checks", "Number.isInteger = () => true; const t = author.Task('t', 'x'); t.priority = 1.5; job.addTask(t)",
		[]string{"mine.js", "cannot be read", "priority"},
	},
	{"breaks lists", "Array.prototype.push = Array.prototype.map = () => 0; " + oneTask, []string{"mine.js", "added no tasks"}},
	{
		"breaks errors", "Error.prototype.toString = () => { throw 1 }; Object.defineProperty(Error.prototype, 'name', {get() { throw 2 }}); null.x",
		[]string{"mine.js"},
	},
	{"chunks without a range", "frameChunker(undefined, 1)", []string{"line 2", "frame range"}},
	{"chunks by nothing", "frameChunker('1-5')", []string{"line 2", "chunk size is 0"}},
	{"counts a setting's invalid range", "frameCount(job.settings.frames)", []string{"line 2", `setting "frames"`, "1-x"}},
	{"splits with bad quotes", `shellSplit("it's")`, []string{"line 2"}},
	{"formats what is no date", "formatTimestampLocal('yesterday')", []string{"line 2", "job.created"}},
}

func TestHostileScriptsGetAnErrorThatSaysWhatIsWrongAndWhere(t *testing.T) {
	t.Parallel()
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			opts := Options{TimeLimit: time.Minute, MemoryLimit: 16 << 20, MaxTasks: 1000, MaxOutput: 200_000}
			s := setupService(t, opts, scriptOf(test.body))
			if strings.Contains(strings.Join(test.words, " "), "longer") {
				limitCompiling(t, s, 700*time.Millisecond)
			}
			mustRefuse(t, s, mine(map[string]any{"frames": "1-x"}), farm.CodeInvalid, test.words...)
			if _, err := s.Type(context.Background(), "echo-sleep-test"); err != nil {
				t.Errorf("another job type suffers: %v", err)
			}
		})
	}
}

// limitCompiling lets a service describe its types at leisure, and then compile in little time.
func limitCompiling(t *testing.T, s *Service, limit time.Duration) {
	t.Helper()
	if _, err := s.Types(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.opts.TimeLimit = limit
}

func TestAScriptThatIsStuckOutsideTheEngineIsKilledSoonAfterTheLimit(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(
		"const a = new Array(3e6).fill(0).map((_, i) => i * 7919 % 1000003); for (;;) a.sort().join().split(',').sort()"))
	limitCompiling(t, s, 300*time.Millisecond)
	start := time.Now()
	mustRefuse(t, s, mine(nil), farm.CodeInvalid, "mine.js", "longer than the limit of 300ms")
	if took := time.Since(start); took > 5*time.Second { // other tests run at the same time
		t.Errorf("it took %v", took)
	}
}

func TestAScriptWhoseTextIsBrokenIsNamedWithItsLine(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ text, want string }{
		"bad syntax":       {"const JOB_TYPE = {};\n\nlet x = ;", "script mine.js, line 3: SyntaxError"},
		"not closed":       {"const JOB_TYPE = {", "mine.js"},
		"no JOB_TYPE":      {"function compileJob() {}", "no object JOB_TYPE"},
		"no compileJob":    {"const JOB_TYPE = {label: 'x'};", "no function compileJob"},
		"no label":         {"const JOB_TYPE = {}; function compileJob() {}", "no label"},
		"throws":           {"\nthrow 'at once'", "line 2: at once"},
		"loops":            {"\nMath.abs(1); for (;;) {}", "line 2: it ran for longer"},
		"bad require":      {"\nrequire('other');", "script other.js, line 2: SyntaxError"},
		"implicit global":  {"\nJOB_TYPE = {label: 'x'}", "line 2: ReferenceError"},
		"bad label":        {"const JOB_TYPE = {label: 5}; function compileJob() {}", "JOB_TYPE: label: must be of type string, not number"},
		"bad settings":     {"const JOB_TYPE = {label: 'x', settings: 5}; function compileJob() {}", "settings: must be of type list, not number"},
		"bad setting":      {"const JOB_TYPE = {label: 'x', settings: [5]}; function compileJob() {}", "settings[0]"},
		"no key":           {"const JOB_TYPE = {label: 'x', settings: [{type: 'int32'}]}; function compileJob() {}", "settings[0]: key"},
		"odd key":          {"const JOB_TYPE = {label: 'x', settings: [{key: 'a b', type: 'int32'}]}; function compileJob() {}", `"a b"`},
		"two of a key":     {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'bool'}, {key: 'a', type: 'bool'}]}; function compileJob() {}", "twice"},
		"unknown type":     {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'int'}]}; function compileJob() {}", `type is "int"`},
		"unknown subtype":  {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'string', subtype: 'x'}]}; function compileJob() {}", `subtype is "x"`},
		"unknown visible":  {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'string', visible: 'x'}]}; function compileJob() {}", `visible is "x"`},
		"choices of ints":  {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'int32', choices: ['1']}]}; function compileJob() {}", "choices"},
		"mistyped default": {"const JOB_TYPE = {label: 'x', settings: [{key: 'a', type: 'int32', default: 1.5}]}; function compileJob() {}", "default is 1.5"},
		"not text":         {"const JOB_TYPE = '\xff\xfe';", "UTF-8"},
		"huge":             {strings.Repeat("// nothing\n", 100_000), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupService(t, Options{TimeLimit: 4 * time.Second}, map[string]string{"mine.js": test.text, "other.js": "\nnot javascript"})
			_, err := s.Type(context.Background(), "mine")
			if farm.CodeOf(err) != farm.CodeNotFound || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
			mustRefuse(t, s, mine(nil), farm.CodeInvalid, test.want)
			types, err := s.Types(context.Background())
			if err != nil || len(types) != 2 {
				t.Errorf("there are %d types, %v", len(types), err)
			}
		})
	}
}
