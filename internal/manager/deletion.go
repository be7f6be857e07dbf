// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
)

// One transaction of a deletion keeps all others waiting, so it is a short one.
const (
	cancelSlice = 1000
	taskSlice   = 250
	markSlice   = 500
	jobPage     = 100
)

// deleter deletes jobs, in the process of an operation. Each of its steps may be the last one, and all may be done again.
type deleter struct {
	store *store.Store
	files *os.Root   // the local storage
	blobs blob.Store // where files of jobs are kept beside it, nil = nowhere
	// eraseCheckout erases a Shaman checkout; one that is not there is no error. nil = there is no Shaman.
	eraseCheckout func(ctx context.Context, id string) error
}

// deleteJob deletes a job: what it uploaded, its files, its rows. The row of the job goes last, so that whatever is left
// after a crash still has a job that leads to it.
func (d *deleter) deleteJob(ctx context.Context, env *operation.Env, id string, progress func(done, total int)) error {
	total, err := d.retire(ctx, env, id)
	if farm.IsNotExist(err) {
		return d.deleteFiles(ctx, env, id) // also when its rows went first: see below
	}
	if err != nil {
		return err
	}
	if err := d.deleteCheckout(ctx, env, id); err != nil {
		return err
	}
	if err := d.deleteFiles(ctx, env, id); err != nil {
		return err
	}
	if err := d.deleteRows(ctx, env, id, total, progress); err != nil {
		return err
	}
	// Once more: a Worker may have been writing to a log. Without rows nobody will any more.
	return d.deleteFiles(ctx, env, id)
}

// retire marks a job, cancels what could still run, and returns how many tasks it has.
func (d *deleter) retire(ctx context.Context, env *operation.Env, id string) (total int, err error) {
	mass := store.Mass{
		From: []farm.TaskStatus{farm.TaskQueued, farm.TaskActive, farm.TaskSoftFailed}, To: farm.TaskCanceled,
		Activity: "Canceled: the job is being deleted",
	}
	for after, done := 0, false; !done; {
		err := env.Do(ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil {
				return err
			}
			total = j.Counts.Total()
			if err := tx.MarkJobForDeletion(j); err != nil {
				return err
			}
			next, end, err := tx.ChangeSlice(j, mass, after, cancelSlice, store.ByManager("the job is being deleted"))
			after, done = next, end
			return err
		})
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// deleteCheckout erases what was uploaded for a job, unless another one that stays was made from it too.
func (d *deleter) deleteCheckout(ctx context.Context, env *operation.Env, id string) error {
	spec, err := d.store.JobSpec(ctx, id)
	if err != nil || spec.ShamanCheckoutID == "" || d.eraseCheckout == nil {
		return err
	}
	used, err := d.store.CheckoutInUse(ctx, spec.ShamanCheckoutID)
	if err != nil || used {
		return err
	}
	if err := d.eraseCheckout(ctx, spec.ShamanCheckoutID); err != nil {
		return cannotDelete(id, fmt.Errorf("its Shaman checkout %q: %w", spec.ShamanCheckoutID, err))
	}
	env.Step("the checkout is erased")
	return nil
}

// deleteFiles deletes the files of a job wherever they are kept: its folder in the local storage, and the one around it if
// that is empty.
func (d *deleter) deleteFiles(ctx context.Context, env *operation.Env, id string) error {
	folder := tasklog.Folder(id)
	if d.blobs != nil {
		if err := blob.DeleteAll(ctx, d.blobs, folder); err != nil {
			return cannotDelete(id, err)
		}
		env.Step("the objects are deleted")
	}
	if err := d.files.RemoveAll(folder); err != nil {
		return cannotDelete(id, err)
	}
	env.Step("the files are deleted")
	_ = d.files.Remove(path.Dir(folder)) // it fails for one that is not empty, or not there
	return nil
}

func (d *deleter) deleteRows(ctx context.Context, env *operation.Env, id string, total int, progress func(done, total int)) error {
	for done := 0; ; {
		n := 0
		err := env.Do(ctx, func(tx *store.Tx) error {
			j, err := tx.Job(id)
			if err != nil {
				return err
			}
			if n, err = tx.DeleteSomeTasks(j, taskSlice); err != nil || n > 0 {
				return err
			}
			return tx.DeleteJob(j)
		})
		if err != nil || n == 0 {
			return err
		}
		done += n
		progress(done, total)
	}
}

// cannotDelete is for people: what stands in the way is theirs to remove.
func cannotDelete(id string, err error) error {
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "job %s cannot be deleted: %v", id, err), err)
}

// mark marks a selection of jobs.
func (d *deleter) mark(ctx context.Context, env *operation.Env, selection store.Selection) error {
	for after, last := int64(0), false; !last; {
		var next int64
		err := env.Do(ctx, func(tx *store.Tx) (err error) {
			_, next, err = tx.MarkForDeletion(selection, after, markSlice)
			return err
		})
		if err != nil {
			return err
		}
		after, last = next, next == 0
	}
	return nil
}

// deleteMarked deletes every job that is marked, except those that another operation is deleting. A job whose files cannot
// be deleted does not keep the others from it.
func (d *deleter) deleteMarked(ctx context.Context, env *operation.Env) error {
	total, err := d.store.CountMarkedJobs(ctx)
	if err != nil {
		return err
	}
	if err := d.retireAll(ctx, env); err != nil {
		return err
	}
	var failed []error
	done := 0
	for after, last := int64(0), false; !last; {
		jobs, err := d.store.MarkedJobs(ctx, after, jobPage)
		if err != nil {
			return err
		}
		for _, j := range jobs {
			env.Progress("Deleting jobs", int64(done), int64(max(total, done)))
			err := d.deleteAlone(ctx, env, j.ID)
			switch {
			case farm.CodeOf(err) == farm.CodeStorage && ctx.Err() == nil:
				env.Log.Error("cannot delete a job", "job", j.ID, "error", err)
				failed = append(failed, err)
			case err != nil:
				return err
			}
			done++
			after = j.Row
		}
		last = len(jobs) < jobPage
	}
	env.Progress("Deleting jobs", int64(done), int64(max(total, done)))
	if len(failed) > 0 {
		return farm.Errorf(farm.CodeStorage, "%d of %d jobs could not be deleted; the first: %v", len(failed), done, farmMessage(failed[0]))
	}
	return nil
}

func farmMessage(err error) string {
	var shown *farm.Error
	if errors.As(err, &shown) {
		return shown.Message
	}
	return err.Error()
}

// retireAll cancels what still runs of all marked jobs, before the first of them is deleted.
func (d *deleter) retireAll(ctx context.Context, env *operation.Env) error {
	jobs, err := d.store.UnsettledJobs(ctx)
	if err != nil {
		return err
	}
	for _, id := range jobs {
		job, err := d.store.Job(ctx, id)
		if err == nil && !job.DeleteRequestedAt.IsZero() {
			_, err = d.retire(ctx, env, id)
		}
		if err != nil && !farm.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// deleteAlone deletes a job under its lock; if somebody else has that, it is being deleted.
func (d *deleter) deleteAlone(ctx context.Context, env *operation.Env, id string) error {
	free, err := env.TryLock(ctx, jobLock(id))
	if err != nil || !free {
		return err
	}
	err = d.deleteJob(ctx, env, id, func(int, int) {})
	if errors.Is(err, context.Canceled) {
		return err
	}
	return errors.Join(err, env.Unlock(ctx, jobLock(id)))
}

// deleteOrphans deletes the folders of jobs that do not exist. A folder is made only for a job that exists, so one that was
// seen before its job was looked for is nobody's.
func (d *deleter) deleteOrphans(ctx context.Context, env *operation.Env) error {
	folders, err := fs.Glob(d.files.FS(), "job-*/*")
	if err != nil {
		return err
	}
	if d.blobs != nil {
		more, err := d.blobFolders(ctx)
		if err != nil {
			return err
		}
		folders = slices.Concat(folders, more)
	}
	for _, folder := range folders {
		id := path.Base(folder)
		if uuid.Validate(id) != nil || tasklog.Folder(id) != folder {
			continue // not ours
		}
		_, err := d.store.Job(ctx, id)
		switch {
		case farm.IsNotExist(err):
			err = d.deleteFiles(ctx, env, id)
		case err == nil:
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blobFolders are the folders that objects of jobs are in.
func (d *deleter) blobFolders(ctx context.Context) ([]string, error) {
	var folders []string
	for info, err := range d.blobs.List(ctx, "") {
		if err != nil {
			return nil, fmt.Errorf("looking for objects of jobs: %w", err)
		}
		parts := strings.SplitN(info.Name, "/", 3)
		if len(parts) < 3 || !strings.HasPrefix(parts[0], "job-") {
			if parts[0] > "job-~" { // names come in order
				break
			}
			continue
		}
		if folder := path.Join(parts[0], parts[1]); len(folders) == 0 || folders[len(folders)-1] != folder {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

// deletion has jobs deleted, in the Manager's own process.
type deletion struct {
	retire  func(ctx context.Context, jobID string) error
	retires func(ctx context.Context, s store.Selection) (int, error)
	start   func(ctx context.Context, kind string, params any, who string) error
}

// DeleteJob implements httpapi.Deletion.
func (d deletion) DeleteJob(ctx context.Context, id string) error {
	if err := d.retire(ctx, id); err != nil {
		return err
	}
	return d.start(ctx, kindJobDeletion, jobParams{Job: id}, "user")
}

// DeleteJobs implements httpapi.Deletion.
func (d deletion) DeleteJobs(ctx context.Context, updatedMax time.Time) (int, error) {
	matched, err := d.retires(ctx, store.Selection{UpdatedMax: updatedMax})
	if err != nil || matched == 0 {
		return matched, err
	}
	return matched, d.start(ctx, kindMassDeletion, massParams{}, "user")
}
