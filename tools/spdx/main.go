// SPDX-License-Identifier: GPL-3.0-or-later

// Command spdx lists the source files of this repository that do not say their licence, and fails when there are any.
// It looks at what git knows or would add, so build results and downloads are left alone.
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

const line = "SPDX-License-Identifier: GPL-3.0-or-later"

// extensions are the kinds of file that can carry the line in a comment.
var extensions = []string{
	".go", ".sh", ".bash", ".py", ".js", ".mjs", ".cjs", ".ts", ".vue", ".css", ".html", ".sql", ".yaml", ".yml", ".mk",
}

func main() {
	names, err := sourceFiles()
	if err != nil {
		fmt.Fprintln(os.Stderr, "spdx:", err)
		os.Exit(1)
	}
	missing, err := withoutLine(os.DirFS("."), names)
	if err != nil {
		fmt.Fprintln(os.Stderr, "spdx:", err)
		os.Exit(1)
	}
	for _, name := range missing {
		fmt.Printf("%s: does not say %q in its first lines\n", name, line)
	}
	if len(missing) > 0 {
		os.Exit(1)
	}
}

// sourceFiles are the paths below the working directory that are in git, or would be with `git add`.
func sourceFiles() ([]string, error) {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return nil, fmt.Errorf("list the files of the repository with git: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// withoutLine returns those of the named files that should carry the licence line and do not. A name that is no longer
// on disk (deleted, but git still lists it) is passed over.
func withoutLine(root fs.FS, names []string) ([]string, error) {
	var missing []string
	for _, name := range names {
		info, err := fs.Stat(root, name)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if needsLine(name, content) && !hasLine(content) {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing, nil
}

// needsLine tells source files of ours from what is generated, locked, or only test data.
func needsLine(name string, content []byte) bool {
	base := path.Base(name)
	if strings.Contains(base, ".gen.") || slices.Contains(strings.Split(path.Dir(name), "/"), "testdata") {
		return false
	}
	if strings.Contains(base, "-lock.") || strings.HasSuffix(base, ".lock") {
		return false
	}
	if isGenerated(content) {
		return false
	}
	if base == "Makefile" || slices.Contains(extensions, path.Ext(base)) {
		return true
	}
	return path.Ext(base) == "" && bytes.HasPrefix(content, []byte("#!"))
}

// isGenerated recognises the mark that Go's tools agree on, for output whose names we do not choose (sqlc).
func isGenerated(content []byte) bool {
	for l := range bytes.Lines(head(content)) {
		if bytes.HasPrefix(l, []byte("// Code generated ")) && bytes.HasSuffix(bytes.TrimSpace(l), []byte("DO NOT EDIT.")) {
			return true
		}
	}
	return false
}

// hasLine looks at the top of the file only: a licence mentioned further down is not the file's own.
func hasLine(content []byte) bool {
	return bytes.Contains(head(content), []byte(line))
}

// head is the first five lines: room for a shebang, an encoding line, a build tag.
func head(content []byte) []byte {
	end := 0
	for range 5 {
		next := bytes.IndexByte(content[end:], '\n')
		if next < 0 {
			return content
		}
		end += next + 1
	}
	return content[:end]
}
