// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"flamenco.farm/internal/farm"
)

// partPattern names what is being copied, beside where it goes; short, so that a long name fits too.
const partPattern = ".flamenco-part-*"

// MakeDirectory makes a folder and those above it.
type MakeDirectory struct{ Path string }

func decodeMakeDirectory(p *parameters) MakeDirectory { return MakeDirectory{Path: p.text("path")} }

// Run is also done when the folder exists already.
func (c MakeDirectory) Run(_ context.Context, env Env) error {
	env.Log(fmt.Sprintf("make-directory: %q", c.Path))
	if err := os.MkdirAll(c.Path, 0o775); err != nil {
		return fmt.Errorf("make the folder: %w", explain(err, c.Path))
	}
	return nil
}

// CopyFile copies one file to where none is yet. Both paths are absolute.
type CopyFile struct{ Src, Dest string }

func decodeCopyFile(p *parameters) CopyFile {
	c := CopyFile{Src: p.text("src"), Dest: p.text("dest")}
	for name, path := range map[string]string{"src": c.Src, "dest": c.Dest} {
		if !filepath.IsAbs(path) {
			p.fail(name, "must be an absolute path, not %q", path)
		}
	}
	return c
}

// Run copies under another name and renames at the end, so that dest is either whole or not there.
func (c CopyFile) Run(ctx context.Context, env Env) error {
	env.Log(fmt.Sprintf("copy-file: %q to %q", c.Src, c.Dest))
	src, dest := filepath.Clean(c.Src), filepath.Clean(c.Dest)
	info, err := os.Stat(src)
	if errors.Is(err, fs.ErrNotExist) {
		return farm.Errorf(farm.CodeNotFound, "source %q does not exist", src)
	}
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	if !info.Mode().IsRegular() {
		return farm.Errorf(farm.CodeInvalid, "source %q is not a regular file", src)
	}
	if err := absent(dest); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dest), 0o750); err != nil {
		return fmt.Errorf("make the folder of the copy: %w", explain(err, dest))
	}
	if err := copyWhole(ctx, src, dest, info.Mode().Perm()); err != nil {
		return fmt.Errorf("copy %q: %w", src, explain(err, dest))
	}
	return nil
}

// copyWhole makes dest appear with all of its content or not at all.
func copyWhole(ctx context.Context, src, dest string, mode fs.FileMode) (err error) {
	part, err := os.CreateTemp(filepath.Dir(dest), partPattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = part.Close()
			_ = os.Remove(part.Name())
		}
	}()
	if err = fill(ctx, part, src, mode); err != nil {
		return err
	}
	return renameExclusively(part.Name(), dest)
}

// fill copies the content of src into an open file, puts it on the disk and closes it.
func fill(ctx context.Context, file *os.File, src string, mode fs.FileMode) error {
	from, err := os.Open(src)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := copyContent(ctx, file, from); err != nil {
		return err
	}
	if err := file.Chmod(mode); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	return file.Close() // some file systems tell only here that the disk is full
}

// copyContent copies to the end, or to the end of ctx.
func copyContent(ctx context.Context, to io.Writer, from io.Reader) error {
	buffer := make([]byte, 1<<20)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// absent is an error if there is something at path, be it a link that leads nowhere.
func absent(path string) error {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the destination: %w", err)
	}
	return farm.Errorf(farm.CodeConflict, "destination %q already exists", path)
}

// explain puts the usual reasons into words that a user may see.
func explain(err error, path string) error {
	switch {
	case isDiskFull(err):
		return farm.Errorf(farm.CodeStorage, "the disk of %q is full, or its quota is used up", path)
	case errors.Is(err, fs.ErrPermission):
		return farm.Errorf(farm.CodeForbidden, "this Worker may not write to %q: %v", path, err)
	case errors.Is(err, fs.ErrExist):
		return farm.Errorf(farm.CodeConflict, "destination %q already exists", path)
	}
	return err
}
