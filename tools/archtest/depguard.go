// SPDX-License-Identifier: GPL-3.0-or-later

package archtest

import (
	"fmt"
	"slices"
	"strings"
)

const (
	blockBegin = "      # Written from ARCHITECTURE.md by `go test ./tools/archtest -update`: change that page instead.\n"
	blockEnd   = "      # End of what is written from ARCHITECTURE.md.\n"
)

// WithDepguard returns the golangci-lint configuration with its depguard rules replaced by these.
func (r Rules) WithDepguard(config string) (string, error) {
	before, rest, ok := strings.Cut(config, blockBegin)
	if !ok {
		return "", fmt.Errorf("the configuration lacks the line %q", strings.TrimSpace(blockBegin))
	}
	_, after, ok := strings.Cut(rest, blockEnd)
	if !ok {
		return "", fmt.Errorf("the configuration lacks the line %q", strings.TrimSpace(blockEnd))
	}
	return before + blockBegin + r.depguard() + blockEnd + after, nil
}

// depguard writes one strict rule per row. Tests are left to the Go test: depguard cannot say "and besides".
func (r Rules) depguard() string {
	var b strings.Builder
	b.WriteString("      rules:\n")
	for _, row := range r.Packages {
		if row.Name == tests || slices.Contains(row.May, everything) {
			continue
		}
		fmt.Fprintf(&b, "        %s:\n          list-mode: strict\n          files:\n", ruleName(row.Name))
		for _, file := range r.filesOf(row.Name) {
			fmt.Fprintf(&b, "            - %q\n", file)
		}
		b.WriteString("          allow:\n            - $gostd\n")
		for _, name := range row.May {
			fmt.Fprintf(&b, "            - %s\n", allowed(module+"/"+name))
		}
		for _, home := range r.Modules {
			if isHome(home, row.Name) {
				fmt.Fprintf(&b, "            - %s\n", strings.TrimSuffix(home.Name, "/..."))
			}
		}
	}
	return b.String()
}

// isHome reports whether any package of a row is at home with a module: depguard sees a row as a whole.
func isHome(home Row, name string) bool {
	tree, isTree := strings.CutSuffix(name, "/...")
	return covers(home.May, tree) || (isTree && slices.ContainsFunc(home.May, func(pattern string) bool {
		return strings.HasPrefix(pattern, tree+"/")
	}))
}

func ruleName(name string) string {
	return strings.ReplaceAll(strings.TrimSuffix(name, "/..."), "/", "-")
}

// filesOf are depguard's globs for a row: its files without tests, and without subtrees that have rows of their own.
func (r Rules) filesOf(name string) []string {
	tree, isTree := strings.CutSuffix(name, "/...")
	if !isTree {
		return []string{"**/" + tree + "/*.go", "!$test"}
	}
	files := []string{"**/" + tree + "/**/*.go", "**/" + tree + "/*.go", "!$test"}
	for _, other := range r.Packages {
		if inner := strings.TrimSuffix(other.Name, "/..."); strings.HasPrefix(inner, tree+"/") {
			files = append(files, "!**/"+inner+"/**")
		}
	}
	return files
}

// allowed turns a name into depguard's prefix match; a dollar ends the name where no subtree is meant.
func allowed(name string) string {
	if tree, isTree := strings.CutSuffix(name, "/..."); isTree {
		return tree
	}
	return name + "$"
}
