// SPDX-License-Identifier: GPL-3.0-or-later

// Package archtest holds the import rules of this project to what ARCHITECTURE.md says: the tables on that page are the
// rules, this package reads them, checks every package against them, and writes them out for depguard, so that page,
// test and linter cannot drift apart. It knows nothing of what the packages do.
package archtest

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

const (
	module     = "flamenco.farm"
	everything = "everything" // a row that may import whatever the tables name
	tests      = "tests"      // any _test.go file, beyond what its package may import
)

// Rules are the tables of ARCHITECTURE.md, in the order of the page.
type Rules struct {
	Packages []Row // who may import which of our packages
	Modules  []Row // which of our packages may import a third-party module
	Never    []Row // what must not be reached through others either
}

// Row is one line of a table. Names end in "/..." when they mean a whole subtree.
type Row struct {
	Name string
	May  []string
}

// Package is what `go list` says of one of our packages. All names of ours are without the module's name.
type Package struct {
	Name        string
	Imports     []string
	TestImports []string
}

var code = regexp.MustCompile("`([^`]+)`")

// Parse reads the three tables, known by their header lines.
func Parse(page string) (Rules, error) {
	var rules Rules
	var table *[]Row
	column := 0
	for number, line := range strings.Split(page, "\n") {
		cells := cellsOf(line)
		if cells == nil {
			table = nil
			continue
		}
		switch header := strings.Join(cells, "|"); {
		case header == "package|owns|may import":
			table, column = &rules.Packages, 2
			continue
		case header == "module|for|at home in":
			table, column = &rules.Modules, 2
			continue
		case header == "package|never reaches":
			table, column = &rules.Never, 1
			continue
		case table == nil, strings.Trim(header, "-|") == "":
			continue
		}
		rows, err := rowsOf(cells, column)
		if err != nil {
			return Rules{}, fmt.Errorf("line %d: %w", number+1, err)
		}
		*table = append(*table, rows...)
	}
	if len(rules.Packages) == 0 || len(rules.Modules) == 0 || len(rules.Never) == 0 {
		return Rules{}, errors.New("a table is missing: package, module or never")
	}
	for i := range rules.Modules {
		rules.Modules[i].Name += "/..." // A module is all of its packages.
	}
	return rules, rules.checkOrder()
}

func cellsOf(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// rowsOf reads a line; a first cell with several names stands for as many rows.
func rowsOf(cells []string, column int) ([]Row, error) {
	if len(cells) <= column {
		return nil, errors.New("the row is too short")
	}
	var may []string
	for _, m := range code.FindAllStringSubmatch(cells[column], -1) {
		may = append(may, m[1])
	}
	if len(may) == 0 && cells[column] != "nothing" {
		may = []string{cells[column]}
		if cells[column] != everything && cells[column] != tests {
			return nil, fmt.Errorf("%q names no package; say %q or %q if that is meant", cells[column], "nothing", everything)
		}
	} else if strings.Contains(code.ReplaceAllString(cells[column], ""), tests) {
		may = append(may, tests)
	}
	var rows []Row
	for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
		rows = append(rows, Row{Name: m[1], May: may})
	}
	if len(rows) == 0 && cells[0] == tests {
		rows = []Row{{Name: tests, May: may}}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%q names no package", cells[0])
	}
	return rows, nil
}

// checkOrder makes the table a picture of the layers: a row may name only rows that stand below it.
func (r Rules) checkOrder() error {
	for i, row := range r.Packages {
		for _, name := range row.May {
			if name == everything || row.Name == tests {
				continue
			}
			at := slices.IndexFunc(r.Packages, func(other Row) bool { return other.Name == name })
			if at < 0 {
				return fmt.Errorf("%s may import %s, which has no row", row.Name, name)
			}
			if at < i && !strings.HasPrefix(name, strings.TrimSuffix(row.Name, "...")) {
				return fmt.Errorf("%s may import %s, which stands above it", row.Name, name)
			}
		}
	}
	return nil
}

// Check returns every breach of the rules as a sentence; an empty result means that all is well.
func (r Rules) Check(packages []Package) []string {
	var found []string
	for _, p := range packages {
		row, ok := rowFor(r.Packages, p.Name)
		if !ok {
			found = append(found, fmt.Sprintf("%s has no row in the table of packages", p.Name))
			continue
		}
		for _, name := range p.Imports {
			found = append(found, r.judge(p.Name, row, name, false)...)
		}
		for _, name := range p.TestImports {
			found = append(found, r.judge(p.Name, row, name, true)...)
		}
	}
	found = append(found, r.checkReach(packages)...)
	found = append(found, r.checkRows(packages)...)
	slices.Sort(found)
	return slices.Compact(found)
}

// judge decides about one import of a package, from its own code or from its tests.
func (r Rules) judge(pkg string, row Row, imported string, inTest bool) []string {
	where := pkg
	if inTest {
		where = "a test of " + pkg
	}
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	switch {
	case isOurs:
		if (inTest && ours == pkg) || r.allows(row, ours, inTest) {
			return nil
		}
		return []string{fmt.Sprintf("%s must not import %s", where, ours)}
	case !strings.Contains(strings.Split(imported, "/")[0], "."):
		if imported == "C" {
			return []string{fmt.Sprintf("%s must not use cgo", where)}
		}
		return nil
	}
	home, ok := rowFor(r.Modules, imported)
	if !ok {
		return []string{fmt.Sprintf("%s imports %s, which has no row in the table of modules", where, imported)}
	}
	if slices.Contains(row.May, everything) || covers(home.May, pkg) || (inTest && slices.Contains(home.May, tests)) {
		return nil
	}
	return []string{fmt.Sprintf("%s must not import %s: it is not its home", where, imported)}
}

func (r Rules) allows(row Row, imported string, inTest bool) bool {
	if slices.Contains(row.May, everything) || covers(row.May, imported) {
		return true
	}
	if !inTest {
		return false
	}
	beyond, ok := rowFor(r.Packages, tests)
	return ok && covers(beyond.May, imported)
}

// checkReach follows the imports of product code as far as they go.
func (r Rules) checkReach(packages []Package) []string {
	imports := map[string][]string{}
	for _, p := range packages {
		for _, name := range p.Imports {
			if ours, ok := strings.CutPrefix(name, module+"/"); ok {
				imports[p.Name] = append(imports[p.Name], ours)
			}
		}
	}
	var found []string
	for _, p := range packages {
		for _, row := range r.Never {
			if !matches(row.Name, p.Name) {
				continue
			}
			for _, path := range pathsFrom(imports, p.Name) {
				if end := path[len(path)-1]; covers(row.May, end) {
					found = append(found, fmt.Sprintf("%s must never reach %s, but does: %s", p.Name, end, strings.Join(path, " → ")))
				}
			}
		}
	}
	return found
}

// pathsFrom returns one way to each package that is reached from start, start itself left out.
func pathsFrom(imports map[string][]string, start string) [][]string {
	seen := map[string]bool{start: true}
	queue := [][]string{{start}}
	for i := 0; i < len(queue); i++ {
		path := queue[i]
		for _, next := range imports[path[len(path)-1]] {
			if !seen[next] {
				seen[next] = true
				queue = append(queue, append(slices.Clone(path), next))
			}
		}
	}
	return queue[1:]
}

// checkRows finds rows that speak of nothing: the page describes what is there. Rows without limits are exempt: whether
// there are any such helpers does not change what the products may do.
func (r Rules) checkRows(packages []Package) []string {
	var found []string
	for _, row := range r.Packages {
		exists := slices.ContainsFunc(packages, func(p Package) bool { return matches(row.Name, p.Name) })
		if row.Name != tests && !slices.Contains(row.May, everything) && !exists {
			found = append(found, fmt.Sprintf("%s has a row, but no such package exists", row.Name))
		}
	}
	return found
}

// rowFor finds the row that speaks of name: an exact one before a subtree, the longest subtree first.
func rowFor(rows []Row, name string) (Row, bool) {
	best, found := Row{}, false
	for _, row := range rows {
		if matches(row.Name, name) && (!found || len(row.Name) > len(best.Name) || row.Name == name) {
			best, found = row, true
		}
		if found && best.Name == name {
			break
		}
	}
	return best, found
}

func covers(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, name) })
}

func matches(pattern, name string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return name == tree || (isTree && strings.HasPrefix(name, tree+"/"))
}
