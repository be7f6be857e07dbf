// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"
)

// fileLimit is the most that a configuration may be long, in bytes.
const fileLimit = 4 << 20

// reading is what a look at the file and the environment gave.
type reading struct {
	stamp    stamp
	text     []byte
	document *yaml.Node // of the file, nil if it holds no settings
	file     Config     // the file over the defaults, with paths as they were written
	full     Config     // file, under the environment, with absolute paths
}

// stamp tells one state of a file from another; the zero stamp is that of a file which is not there.
type stamp struct {
	modified time.Time
	size     int64
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.ModTime(), info.Size()} }

// read looks at the file, which may be missing, and the environment.
func (src Sources) read(log *slog.Logger) (reading, error) {
	text, at, err := readFile(src.Path)
	if err != nil {
		return reading{stamp: at}, fmt.Errorf("cannot read the configuration: %w", err)
	}
	r, err := src.interpret(text, log)
	r.stamp = at
	r.full.FirstRun = r.full.FirstRun || at == stamp{}
	return r, err
}

// readFile reads all of a file; one that is missing has no text and no stamp.
func readFile(path string) (text []byte, at stamp, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, stamp{}, nil
	}
	if err != nil {
		return nil, stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	text, err = io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err == nil && len(text) > fileLimit {
		err = fmt.Errorf("%s: is longer than %d bytes", path, fileLimit)
	}
	return text, stampOf(info), err
}

// interpret takes text as the file. Everything that is wrong is one error each.
func (src Sources) interpret(text []byte, log *slog.Logger) (reading, error) {
	path, err := filepath.Abs(src.Path)
	if err != nil {
		return reading{}, fmt.Errorf("config: %w", err)
	}
	r := reading{text: text, file: Default()}
	d := &decoder{file: src.Path, cfg: &r.file, log: log}
	r.document = d.decodeFile(text)
	r.full = r.file
	d.cfg = &r.full
	d.decodeEnv(src.Env)
	d.problems = append(d.problems, r.full.checkFiles()...)
	if err := errors.Join(d.problems...); err != nil {
		return reading{}, err
	}
	r.full.FirstRun = src.SetUp || r.full.SharedStorage == ""
	r.full.resolvePaths(filepath.Dir(path), src.ExecutableDir)
	return r, nil
}
