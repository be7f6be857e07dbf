// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/farm"
)

//go:embed scripts/*.js
var builtIn embed.FS

// The sizes in bytes of files that can be scripts.
const (
	minScript = 8
	maxScript = 1 << 20
)

// library is what the scripts were at one moment, with the types that they describe.
type library struct {
	files   []fileID
	scripts []script // what require() finds
	types   []Type   // sorted by name
	sources map[string]string
	broken  map[string]error // by type name: why it cannot be used
}

// fileID tells whether a file changed.
type fileID struct {
	name string
	size int64
	time time.Time
}

// typeName is the name of the job type that a script file describes.
func typeName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(file, ".js"), "_", "-")
}

// DefaultScriptsDir is the folder "scripts" beside the executable, or beside the file that it is a link to. If there is
// neither it is the first, which may be made while the Manager runs.
func DefaultScriptsDir() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	candidates := []string{exe}
	if real, err := filepath.EvalSymlinks(exe); err == nil {
		candidates = append(candidates, real)
	}
	for _, candidate := range candidates {
		dir := filepath.Join(filepath.Dir(candidate), "scripts")
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return filepath.Join(filepath.Dir(exe), "scripts")
}

// listScripts finds the script files of a folder. A folder that is not there has none.
func listScripts(dir string) ([]fileID, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the folder of job type scripts: %w", err)
	}
	var files []fileID
	for _, entry := range entries {
		if !entry.Type().IsRegular() || !strings.HasSuffix(entry.Name(), ".js") {
			continue
		}
		info, err := entry.Info()
		if err != nil || info.Size() < minScript {
			continue // deleted this moment, or an empty file that an editor is about to fill
		}
		files = append(files, fileID{entry.Name(), info.Size(), info.ModTime()})
	}
	return files, nil
}

// readScripts reads the files and adds those that are built in and not replaced.
func readScripts(dir string, files []fileID) (*library, error) {
	lib := &library{files: files, sources: map[string]string{}, broken: map[string]error{}}
	for _, file := range files {
		name := typeName(file.name)
		text, err := readScript(filepath.Join(dir, file.name), file.size)
		switch other, taken := lib.sources[name]; {
		case taken:
			lib.broken[name] = fmt.Errorf("%s and %s both describe it", other, file.name)
			continue
		case err != nil:
			lib.broken[name] = err
		default:
			lib.scripts = append(lib.scripts, script{file.name, text})
		}
		lib.sources[name] = file.name
	}
	entries, err := fs.ReadDir(builtIn, "scripts")
	if err != nil {
		return nil, fmt.Errorf("reading the built-in job types: %w", err)
	}
	for _, entry := range entries {
		if _, replaced := lib.sources[typeName(entry.Name())]; replaced {
			continue
		}
		text, err := fs.ReadFile(builtIn, "scripts/"+entry.Name())
		if err != nil {
			return nil, fmt.Errorf("reading the built-in job types: %w", err)
		}
		lib.sources[typeName(entry.Name())] = entry.Name()
		lib.scripts = append(lib.scripts, script{entry.Name(), string(text)})
	}
	return lib, nil
}

func readScript(path string, size int64) (string, error) {
	if size > maxScript {
		return "", fmt.Errorf("%s is larger than %d KiB", filepath.Base(path), maxScript>>10)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(text) {
		return "", fmt.Errorf("%s is not UTF-8 text", filepath.Base(path))
	}
	return strings.TrimPrefix(string(text), "\ufeff"), nil
}

// describe asks every script for its type, each in a process of its own so that none can spoil another. Errors that no
// script is to blame for fail the whole, because the next attempt may well succeed.
func (lib *library) describe(ctx context.Context, parallel int, ask func(context.Context, string) ([]byte, error)) error {
	answers := make([]struct {
		text []byte
		err  error
	}, len(lib.scripts))
	var g errgroup.Group
	g.SetLimit(parallel)
	for i, script := range lib.scripts {
		g.Go(func() error {
			text, err := ask(ctx, script.Name)
			answers[i].text, answers[i].err = text, err
			if err != nil && farm.CodeOf(err) != farm.CodeInvalid {
				return err
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, script := range lib.scripts {
		name := typeName(script.Name)
		if lib.broken[name] != nil {
			continue
		}
		t, err := Type{}, answers[i].err
		if err == nil {
			if t, err = parseType(name, answers[i].text); err != nil {
				err = fmt.Errorf("script %s: %w", script.Name, err)
			}
		}
		if err != nil {
			lib.broken[name] = err
			continue
		}
		lib.types = append(lib.types, t)
	}
	slices.SortFunc(lib.types, func(a, b Type) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// find returns a type by its name. Its errors say why a script that is there cannot be used.
func (lib *library) find(name string) (*Type, error) {
	i, ok := slices.BinarySearchFunc(lib.types, name, func(t Type, name string) int { return cmp.Compare(t.Name, name) })
	if ok {
		return &lib.types[i], nil
	}
	if err := lib.broken[name]; err != nil {
		return nil, farm.Errorf(farm.CodeNotFound, "job type %q cannot be used: %v", name, err)
	}
	known := make([]string, len(lib.types))
	for i, t := range lib.types {
		known[i] = t.Name
	}
	return nil, farm.Errorf(farm.CodeNotFound, "there is no job type %q; there are: %s", name, strings.Join(known, ", "))
}
