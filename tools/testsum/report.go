// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// event is one line of the stream, as `go doc test2json` describes it.
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// pkg is what is known so far of one package. outcomes holds the last action of every test, "run" while it is running.
type pkg struct {
	outcomes map[string]string
	output   map[string]*strings.Builder // by test, "" for the package itself
	coverage float64                     // percent, -1 when it was not measured
}

type report struct {
	out                     io.Writer
	trim                    string
	packages                map[string]*pkg
	builds                  map[string]*strings.Builder // compiler output by import path
	coverage                map[string]float64
	passed, failed, skipped int
	other                   bool // something went wrong that is not a test
}

func newReport(out io.Writer, trim string) *report {
	return &report{
		out: out, trim: trim,
		packages: map[string]*pkg{}, builds: map[string]*strings.Builder{}, coverage: map[string]float64{},
	}
}

// read takes the whole stream. Lines that are not JSON (a tool writing past the test binary) are printed as they are.
func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		text, err := lines.ReadBytes('\n')
		if len(text) > 0 {
			var e event
			if json.Unmarshal(text, &e) == nil && e.Action != "" {
				r.take(e)
			} else {
				fmt.Fprintf(r.out, "%s\n", strings.TrimRight(string(text), "\n"))
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the test stream: %w", err)
		}
	}
}

func (r *report) take(e event) {
	switch e.Action {
	case "build-output":
		appendTo(r.builds, e.ImportPath, e.Output)
		return
	case "build-fail", "start":
		return
	}
	p := r.packages[e.Package]
	if p == nil {
		p = &pkg{outcomes: map[string]string{}, output: map[string]*strings.Builder{}, coverage: -1}
		r.packages[e.Package] = p
	}
	if e.Action == "output" {
		p.take(e)
		return
	}
	if e.Test != "" {
		p.outcomes[e.Test] = e.Action
		return
	}
	if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
		r.close(e, p)
		delete(r.packages, e.Package)
	}
}

var coverageLine = regexp.MustCompile(`coverage: ([0-9.]+)% of statements`)

func (p *pkg) take(e event) {
	appendTo(p.output, e.Test, e.Output)
	if e.Test != "" {
		return
	}
	if m := coverageLine.FindStringSubmatch(e.Output); m != nil {
		p.coverage, _ = strconv.ParseFloat(m[1], 64)
	}
}

// close prints what came of a package, and counts its tests: those without subtests, and whatever failed by itself.
func (r *report) close(e event, p *pkg) {
	var passed, failed, skipped []string
	for _, name := range slices.Sorted(maps.Keys(p.outcomes)) {
		below := p.below(name)
		switch outcome := p.outcomes[name]; {
		case outcome == "pass" && len(below) == 0:
			passed = append(passed, name)
		case outcome == "skip":
			skipped = append(skipped, name)
		case outcome == "pass", slices.ContainsFunc(below, func(s string) bool { return p.outcomes[s] != "pass" }):
			// Told by its subtests.
		default: // Failed, or never ended because the process did.
			failed = append(failed, name)
		}
	}
	r.passed += len(passed)
	r.failed += len(failed)
	r.skipped += len(skipped)
	if p.coverage >= 0 {
		r.coverage[r.short(e.Package)] = p.coverage
	}
	if e.Action == "fail" && len(failed) == 0 {
		r.other = true
	}
	if e.Action != "fail" && len(p.outcomes) == 0 && p.coverage < 0 {
		return // Nothing was tested and nothing measured.
	}
	r.printPackage(e, p, len(passed), len(failed), len(skipped))
	r.printFailures(e, p, failed, skipped)
}

// below are the subtests of a test, at any depth.
func (p *pkg) below(name string) []string {
	var names []string
	for other := range p.outcomes {
		if strings.HasPrefix(other, name+"/") {
			names = append(names, other)
		}
	}
	return names
}

func (r *report) printPackage(e event, p *pkg, passed, failed, skipped int) {
	verdict := "ok  "
	switch {
	case e.Action == "fail", skipped > 0:
		verdict = "FAIL"
	case len(p.outcomes) == 0:
		verdict = "none"
	}
	fmt.Fprintf(r.out, "%s %-32s %5d passed %7.1fs", verdict, r.short(e.Package), passed, e.Elapsed)
	if p.coverage >= 0 {
		fmt.Fprintf(r.out, " %6.1f%% covered", p.coverage)
	}
	if failed > 0 {
		fmt.Fprintf(r.out, ", %d failed", failed)
	}
	if skipped > 0 {
		fmt.Fprintf(r.out, ", %d skipped", skipped)
	}
	fmt.Fprintln(r.out)
}

func (r *report) printFailures(e event, p *pkg, failed, skipped []string) {
	for _, name := range skipped {
		fmt.Fprintf(r.out, "\n--- skipped, which counts as a failure: %s %s\n%s\n", r.short(e.Package), name, p.text(name))
	}
	for _, name := range failed {
		fmt.Fprintf(r.out, "\n--- failed: %s %s\n", r.short(e.Package), name)
		// What its parents printed belongs to the story: set-up and clean-up speak there.
		for i, c := range name {
			if c == '/' {
				fmt.Fprint(r.out, p.text(name[:i]))
			}
		}
		fmt.Fprintln(r.out, p.text(name))
	}
	if e.Action != "fail" {
		return
	}
	if e.FailedBuild != "" {
		if b := r.builds[e.FailedBuild]; b != nil {
			fmt.Fprintf(r.out, "\n--- does not build: %s\n%s\n", r.short(e.Package), b)
		}
	}
	if text := p.text(""); text != "" {
		fmt.Fprintf(r.out, "\n--- output of %s\n%s\n", r.short(e.Package), text)
	}
}

func (p *pkg) text(test string) string {
	if b := p.output[test]; b != nil {
		return b.String()
	}
	return ""
}

// finish prints the coverage that is too low and the last line, and reports whether all is well.
func (r *report) finish(minimum map[string]float64) bool {
	for name := range r.packages {
		fmt.Fprintf(r.out, "FAIL %s: its tests never ended\n", r.short(name))
		r.other = true
	}
	for _, name := range slices.Sorted(maps.Keys(minimum)) {
		got, measured := r.coverage[name]
		switch {
		case !measured:
			fmt.Fprintf(r.out, "FAIL %s: its coverage was not measured\n", name)
			r.other = true
		case got <= minimum[name]:
			fmt.Fprintf(r.out, "FAIL %s: %.1f%% covered, more than %.0f%% wanted\n", name, got, minimum[name])
			r.other = true
		}
	}
	ran := r.passed + r.failed + r.skipped
	if ran == 0 {
		fmt.Fprintln(r.out, "FAIL no test ran")
		r.other = true
	}
	if r.other && r.failed == 0 {
		r.failed = 1 // The last line must not read like success.
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0 && r.skipped == 0
}

func (r *report) short(name string) string {
	return strings.TrimPrefix(name, r.trim)
}

func appendTo(texts map[string]*strings.Builder, key, text string) {
	b := texts[key]
	if b == nil {
		b = &strings.Builder{}
		texts[key] = b
	}
	b.WriteString(text)
}
