// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"flamenco.farm/internal/farm"
)

// MoveDirectory gives a folder another name or place. What is at the destination is kept under another name.
type MoveDirectory struct{ Src, Dest string }

func decodeMoveDirectory(p *parameters) MoveDirectory {
	return MoveDirectory{Src: p.text("src"), Dest: p.text("dest")}
}

// Run moves. Nothing is ever overwritten, and src is complete in one of the two places whatever happens.
func (c MoveDirectory) Run(ctx context.Context, env Env) error {
	src, dest := filepath.Clean(c.Src), filepath.Clean(c.Dest)
	env.Log(fmt.Sprintf("move-directory: %q to %q", src, dest))
	if err := movable(src, dest); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o775); err != nil {
		return fmt.Errorf("make the folder above the destination: %w", explain(err, dest))
	}
	kept, err := setAside(dest)
	if err != nil {
		return fmt.Errorf("keep what is at the destination: %w", explain(err, dest))
	}
	if kept != "" {
		env.Log(fmt.Sprintf("move-directory: %q exists, it is now %q", dest, kept))
	}
	err = renameExclusively(src, dest)
	if isOtherDisk(err) {
		env.Log("move-directory: the destination is on another file system, copying")
		err = moveByCopy(ctx, src, dest)
	}
	if err == nil {
		return nil
	}
	if kept != "" {
		if backErr := renameExclusively(kept, dest); backErr == nil {
			env.Log(fmt.Sprintf("move-directory: %q is %q again", kept, dest))
		}
	}
	return fmt.Errorf("move %q: %w", src, explain(err, dest))
}

// movable refuses what could not end well before anything has been renamed.
func movable(src, dest string) error {
	info, err := os.Lstat(src)
	if errors.Is(err, fs.ErrNotExist) {
		return farm.Errorf(farm.CodeNotFound, "source %q does not exist", src)
	}
	if err != nil {
		return fmt.Errorf("look at the source: %w", err)
	}
	if there, err := os.Lstat(dest); err == nil && os.SameFile(info, there) {
		return farm.Errorf(farm.CodeInvalid, "source and destination are the same: %q", src)
	}
	absSrc, err := resolved(src)
	if err != nil {
		return err
	}
	absDest, err := resolved(dest)
	if err != nil {
		return err
	}
	if inside(absDest, absSrc) {
		return farm.Errorf(farm.CodeInvalid, "destination %q is inside of source %q", dest, src)
	}
	if inside(absSrc, absDest) {
		return farm.Errorf(farm.CodeInvalid, "source %q is inside of destination %q, which would have to be moved away", src, dest)
	}
	return nil
}

// resolved is an absolute path without links, as far as the path exists.
func resolved(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find %q: %w", path, err)
	}
	rest := ""
	for above := path; ; above = filepath.Dir(above) {
		if real, err := filepath.EvalSymlinks(above); err == nil {
			return filepath.Join(real, rest), nil
		}
		if above == filepath.Dir(above) {
			return path, nil
		}
		rest = filepath.Join(filepath.Base(above), rest)
	}
}

func inside(path, folder string) bool {
	return strings.HasPrefix(path, strings.TrimSuffix(folder, string(filepath.Separator))+string(filepath.Separator))
}

// setAside renames what is at path after the time of its last change, and returns the new name; "" = there was nothing.
func setAside(path string) (string, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	stamped := path + "-" + info.ModTime().Local().Format("2006-01-02_150405")
	name := stamped
	for n := 1; n < 1000; n++ {
		err := renameExclusively(path, name)
		if err == nil {
			return name, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		name = fmt.Sprintf("%s-%03d", stamped, n)
	}
	return "", farm.Errorf(farm.CodeConflict, "there are too many folders named %q", stamped)
}
