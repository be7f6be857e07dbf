// SPDX-License-Identifier: GPL-3.0-or-later

// Command testsum reads the stream of `go test -json` and says what came of it in plain words: a line per package,
// the whole output of what failed, and one last line "N passed, N failed, N skipped". It ends with exit code 1 when
// anything failed, when a test was skipped, when a package named with -min is covered less than asked, or when no
// test ran at all, because none of these may pass for success.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	minimum := coverageFlag{}
	flag.Var(minimum, "min", "`package=percent` that must be covered, such as internal/flow=85 (may be given again)")
	trim := flag.String("trim", "", "`prefix` to leave out of package names when printing, such as example.com/module/")
	flag.Parse()
	ok, err := run(os.Stdin, os.Stdout, *trim, minimum)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run prints the summary of the stream and reports whether all is well.
func run(in io.Reader, out io.Writer, trim string, minimum map[string]float64) (bool, error) {
	r := newReport(out, trim)
	if err := r.read(in); err != nil {
		return false, err
	}
	return r.finish(minimum), nil
}

// coverageFlag collects repeated package=percent arguments.
type coverageFlag map[string]float64

func (c coverageFlag) String() string { return "" }

func (c coverageFlag) Set(text string) error {
	pkg, percent, found := strings.Cut(text, "=")
	value, err := strconv.ParseFloat(percent, 64)
	if !found || pkg == "" || err != nil {
		return errors.New("want package=percent")
	}
	c[pkg] = value
	return nil
}
