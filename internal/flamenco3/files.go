// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// images are the names of what was rendered last, in the folder of a job.
var images = []string{"last-rendered.jpg", "last-rendered-small.jpg", "last-rendered-tiny.jpg"}

// folderOf is where the files of a job are, in both local storages.
func folderOf(jobID string) string { return path.Join("job-"+jobID[:4], jobID) }

// copyFiles copies the logs of a job's tasks and its images, and returns how many images there are. Those that are there
// already are left alone.
func (im *importer) copyFiles(ctx context.Context, j *store.ImportedJob) (n int, err error) {
	if im.files == nil {
		return 0, nil
	}
	present, err := im.listFiles(folderOf(j.ID))
	if err != nil {
		im.report.problem("job "+j.ID, "its logs and images cannot be read: %s", err)
		return 0, nil
	}
	if len(present) == 0 {
		return 0, nil
	}
	for i := range j.Tasks {
		t := &j.Tasks[i]
		name := "task-" + t.ID + ".txt"
		if _, ok := present[name]; !ok {
			continue
		}
		size, err := im.copyFile(ctx, &im.report.Logs, path.Join(folderOf(j.ID), name), im.to.LogName(j.ID, t.ID))
		if err != nil {
			return 0, err
		}
		t.LogSize = size
	}
	for _, name := range images {
		if _, ok := present[name]; !ok {
			continue
		}
		name = path.Join(folderOf(j.ID), name)
		size, err := im.copyFile(ctx, &im.report.Images, name, name)
		if err != nil {
			return 0, err
		}
		if size > 0 {
			n++
		}
	}
	return n, nil
}

// listFiles is the names of the files in a folder of the old storage.
func (im *importer) listFiles(folder string) (map[string]struct{}, error) {
	dir, err := im.files.Open(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names := map[string]struct{}{}
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if len(names) == 2*maxTasks {
				return nil, fmt.Errorf("the folder has too many files")
			}
			names[e.Name()] = struct{}{}
		}
		if errors.Is(err, io.EOF) {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// copyFile copies one file, whole or not at all, and returns its size. An old file that cannot be read is reported, a new one
// that cannot be written ends the run.
func (im *importer) copyFile(ctx context.Context, n *Count, from, to string) (int64, error) {
	n.Found++
	in, info, err := im.openOld(from)
	if err != nil {
		n.LeftOut++
		im.report.problem("file "+from, "left out: %s", err)
		return 0, nil
	}
	defer in.Close()
	if im.opts.DryRun && im.to.Storage == nil {
		n.Imported++
		return info.Size(), nil
	}
	if there, err := im.to.Storage.Lstat(to); err == nil {
		n.Present++
		return there.Size(), nil
	}
	if im.opts.DryRun {
		n.Imported++
		return info.Size(), nil
	}
	size, err := im.writeNew(ctx, in, info, to)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "%s cannot be written to the local storage", to), err)
	}
	n.Imported++
	return size, nil
}

// openOld opens what is a file and nothing else: reading a pipe might never end.
func (im *importer) openOld(name string) (*os.File, os.FileInfo, error) {
	info, err := im.files.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("it is not a file")
	}
	f, err := im.files.Open(name)
	return f, info, err
}

func (im *importer) writeNew(ctx context.Context, in io.Reader, info os.FileInfo, name string) (size int64, err error) {
	root := im.to.Storage
	if err := root.MkdirAll(path.Dir(name), 0o750); err != nil {
		return 0, err
	}
	temporary := name + ".importing" // always the same, so that a run that was killed leaves one at most
	out, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return 0, err
	}
	size, err = io.Copy(out, untilDone{ctx, in})
	if err := errors.Join(err, out.Sync(), out.Close()); err != nil {
		return 0, errors.Join(err, root.Remove(temporary))
	}
	if err := root.Chtimes(temporary, info.ModTime(), info.ModTime()); err != nil {
		return 0, err
	}
	return size, root.Rename(temporary, name)
}

// untilDone is a reader that fails once ctx ends.
type untilDone struct {
	ctx context.Context //nolint:containedctx // io.Copy takes none
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
