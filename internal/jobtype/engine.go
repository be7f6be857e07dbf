// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"modernc.org/quickjs"
)

//go:embed prelude.js
var prelude string

// engine is one JavaScript runtime. It lives in the compiler process and is used for one script.
type engine struct {
	vm       *quickjs.VM
	setup    setup
	sink     sink
	deadline time.Time
	traced   bool // scripts are rewritten to note where they throw, see traceThrows
	thrownAt string
	syntax   *failure // the script that did not parse, if one did not
	api      quickjs.Value
	scripts  map[string]string
}

// sink takes what a script gives off while it runs.
type sink struct {
	tasks func(json string) error
	log   func(level, text string)
}

// newEngine makes a runtime with all that scripts may use. traced is for the second run that finds where a script
// threw something without a stack; everything else is done untraced.
func newEngine(s setup, out sink, traced bool) (*engine, error) {
	vm, err := quickjs.NewVM()
	if err != nil {
		return nil, fmt.Errorf("starting the script engine: %w", err)
	}
	e := &engine{vm: vm, setup: s, sink: out, traced: traced, scripts: map[string]string{}}
	for _, script := range s.Scripts {
		e.scripts[script.Name] = script.Text
	}
	vm.SetMemoryLimit(uintptr(s.MemoryLimit))
	vm.SetGCThreshold(uintptr(s.MemoryLimit / 8)) // it counts references; only circles wait for a collection
	vm.SetModuleLoader(
		func(_ *quickjs.VM, name string) (string, error) { return e.source(name) },
		func(_ *quickjs.VM, _, name string) (string, error) { return name, nil },
	)
	if err := e.install(); err != nil {
		return nil, errors.Join(fmt.Errorf("setting up the script engine: %w", err), e.close())
	}
	return e, nil
}

func (e *engine) close() error {
	e.api.Free()
	return e.vm.Close()
}

// install runs the prelude with the host functions, which scripts then no longer see.
func (e *engine) install() error {
	names := []string{}
	for name, fn := range e.hostFuncs() {
		if err := e.vm.RegisterHostFunc("__"+name, fn); err != nil {
			return err
		}
		names = append(names, name)
	}
	slices.Sort(names)
	constants, err := json.Marshal(map[string]any{
		"dir": e.setup.Dir, "platform": runtime.GOOS, "maxTasks": e.setup.MaxTasks,
	})
	if err != nil {
		return err
	}
	var host strings.Builder
	fmt.Fprintf(&host, "const host = %s;\n", constants)
	for _, name := range names {
		fmt.Fprintf(&host, "host.%[1]s = globalThis.__%[1]s; delete globalThis.__%[1]s;\n", name)
	}
	fmt.Fprintf(&host, "return (%s)(host);", strings.TrimRight(prelude, ";\n"))
	e.api, err = e.vm.EvalValue("(() => {"+host.String()+"})()", quickjs.EvalGlobal)
	return err
}

// source is the text of a script as the engine loads it: a module, because only modules have names in stack traces,
// whose one function runs the script. All is on the script's own lines, so that line numbers are right.
func (e *engine) source(name string) (string, error) {
	text, ok := e.scripts[name]
	if !ok {
		return "", fmt.Errorf("there is no script %q", name)
	}
	if e.traced {
		text = traceThrows(text)
	}
	const tail = "\n;return {" +
		"JOB_TYPE: typeof JOB_TYPE === 'undefined' ? undefined : JOB_TYPE, " +
		"compileJob: typeof compileJob === 'undefined' ? undefined : compileJob};}"
	return "export default function(exports, module, require) {" + text + tail, nil
}

// load parses a script and leaves its function with the prelude.
func (e *engine) load(name string) error {
	const slot = "__flamenco_loaded"
	_, err := e.vm.Eval("import script from "+strconv.Quote(name)+"; globalThis."+slot+" = script;", quickjs.EvalModule)
	if err == nil {
		var loaded quickjs.Value
		if loaded, err = e.vm.EvalValue("(() => { const s = globalThis."+slot+"; delete globalThis."+slot+"; return s; })()",
			quickjs.EvalGlobal); err == nil {
			defer loaded.Free()
			return e.invoke("loaded", nil, loaded)
		}
	}
	var thrown *quickjs.Error
	if errors.As(err, &thrown) && thrown.Name == "SyntaxError" {
		e.syntax = &failure{Message: thrown.Error(), Script: name, Line: thrown.LineNumber}
	}
	return err
}

// invoke calls a function that the prelude returned.
func (e *engine) invoke(name string, into *string, args ...any) error {
	atom, err := e.vm.NewAtom(name)
	if err != nil {
		return err
	}
	fn, err := e.api.GetPropertyValue(atom)
	if err != nil {
		return err
	}
	defer fn.Free()
	answer, err := fn.Call(quickjs.UndefinedValue, args...)
	if text, ok := answer.(string); ok && into != nil {
		*into = text
	}
	return err
}

// describe returns a script's JOB_TYPE as JSON.
func (e *engine) describe(name string) (json.RawMessage, *failure) {
	result, fail := e.run(name, "describe", name)
	return json.RawMessage(result), fail
}

// compile runs a script's compileJob. Its tasks go to the sink; what it changed of the job is returned as JSON.
func (e *engine) compile(name string, job *jobInput) (json.RawMessage, *failure) {
	input, err := json.Marshal(job)
	if err != nil {
		return nil, &failure{Message: err.Error(), Script: name}
	}
	result, fail := e.run(name, "compile", name, string(input))
	return json.RawMessage(result), fail
}

func (e *engine) run(script, function string, args ...any) (string, *failure) {
	left := time.Until(e.deadline)
	if left <= 0 {
		return "", e.interrupted(script, "")
	}
	if err := e.vm.SetEvalTimeout(left); err != nil {
		return "", &failure{Message: err.Error(), Script: script}
	}
	var answer string
	if err := e.invoke(function, &answer, args...); err != nil {
		return "", e.uncaught(script, err)
	}
	var out struct {
		Result  string
		Failure *struct{ Message, Stack string }
	}
	if err := json.Unmarshal([]byte(answer), &out); err != nil {
		return "", &failure{Message: "it returned rubbish: " + shorten(answer, 100), Script: script}
	}
	switch {
	case out.Failure == nil:
		return out.Result, nil
	case e.syntax != nil && strings.Contains(out.Failure.Message, e.syntax.Message):
		return "", e.syntax
	case strings.HasPrefix(out.Failure.Message, "InternalError: out of memory"):
		return "", e.located(script, e.memoryMessage(), out.Failure.Stack)
	case out.Failure.Stack == "" && e.traced:
		return "", e.located(script, out.Failure.Message, e.thrownAt)
	}
	return "", e.located(script, out.Failure.Message, out.Failure.Stack)
}

// uncaught explains what scripts cannot catch: the end of their time, and running out of memory so badly that not even
// the error could be made.
func (e *engine) uncaught(script string, err error) *failure {
	var thrown *quickjs.Error
	switch {
	case !errors.As(err, &thrown):
		return &failure{Message: err.Error(), Script: script}
	case thrown.Name == "InternalError" && thrown.Message == "interrupted":
		return e.interrupted(script, thrown.Stack)
	case strings.Contains(thrown.Error(), "out of memory"), thrown.Error() == "null", thrown.Error() == "":
		return e.located(script, e.memoryMessage(), thrown.Stack)
	}
	return e.located(script, thrown.Error(), thrown.Stack)
}

// interrupted names the last call that the script made: the engine does not note where a loop without calls is.
func (e *engine) interrupted(script, stack string) *failure {
	f := e.located(script, timeMessage(e.setup.TimeLimit), stack)
	if f.Line > 0 {
		f.Message += ", in this line or in a loop that follows it"
	}
	return f
}

func timeMessage(limit time.Duration) string {
	return fmt.Sprintf("it ran for longer than the limit of %v", limit)
}

func (e *engine) memoryMessage() string {
	return fmt.Sprintf("it needs more memory than the limit of %d MiB", e.setup.MemoryLimit>>20)
}

// located finds the innermost frame of a stack that is in a script rather than in the prelude.
func (e *engine) located(script, message, stack string) *failure {
	for line := range strings.Lines(stack) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ")")
		line, _, _ = cutLast(line, ":") // the column
		place, number, ok := cutLast(line, ":")
		n, err := strconv.Atoi(number)
		if !ok || err != nil {
			continue
		}
		place = strings.TrimPrefix(place, "at ")
		if _, known := e.scripts[place]; known {
			return &failure{Message: message, Script: place, Line: n}
		}
		if _, inner, ok := cutLast(place, " ("); ok {
			if _, known := e.scripts[inner]; known {
				return &failure{Message: message, Script: inner, Line: n}
			}
		}
	}
	return &failure{Message: message, Script: script}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

var throwStatement = regexp.MustCompile(`(^|[^.\w$])throw([ \t]+[^ \t\r\n;:=]|[("'\x60\[{])`)

// traceThrows makes each throw statement note its place first. Only errors have stacks; for a thrown string the script
// runs a second time like this, just to learn the line. Should the rewriting break a script, the line stays unknown.
func traceThrows(text string) string {
	return throwStatement.ReplaceAllString(text, "${1}throw require.thrown(new Error().stack), ${2}")
}

// resolve finds the file that require(name) means, "" if there is none.
func (e *engine) resolve(name string) string {
	for _, candidate := range []string{name, name + ".js"} {
		if _, ok := e.scripts[candidate]; ok && filepath.Base(candidate) == candidate {
			return candidate
		}
	}
	return ""
}
