// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

const month = 31 * 24 * time.Hour

// collect collects what is older than a month, and insists on how much was deleted.
func (f *fixture) collect(deleted int64) shaman.Report {
	f.t.Helper()
	report, err := f.Collect(f.t.Context(), shaman.CollectOptions{MaxAge: month})
	if err != nil || report.Deleted != deleted {
		f.t.Fatalf("%+v, %v; want %d deleted", report, err, deleted)
	}
	return report
}

// age lets all stored files be old.
func (f *fixture) age() { f.makeOld(filepath.Join(f.shared, "file-store", "stored"), 2*month) }

func TestOnlyOldFilesInNoCheckoutAreCollected(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.checkout("group/shot", "a/b", "used")
	unused := f.put("unused!")
	f.age()
	young := f.put("young")
	asked := f.put("asked for")
	f.makeOld(f.blob(asked), 2*month)
	f.wantStatus(asked, shaman.Stored)

	dry, err := f.Collect(t.Context(), shaman.CollectOptions{MaxAge: month, DryRun: true})
	f.must(err)
	want := shaman.Report{Files: 4, Bytes: 25, Old: 2, Deleted: 1, DeletedBytes: 7}
	if diff := cmp.Diff(want, dry); diff != "" {
		t.Error(diff)
	}
	f.wantContent(f.blob(unused), "unused!")
	if diff := cmp.Diff(want, f.collect(1)); diff != "" {
		t.Error(diff)
	}
	f.wantStatus(unused, shaman.Unknown)
	f.wantStatus(young, shaman.Stored)
	f.wantContent(filepath.Join(f.shared, "jobs/group/shot/a/b"), "used")
	if _, err := os.Stat(filepath.Dir(f.blob(unused))); !os.IsNotExist(err) {
		t.Errorf("the empty folder is still there: %v", err)
	}
	if got := entries(t, filepath.Join(f.shared, "file-store")); !cmp.Equal(got, []string{"stored", "uploading"}) {
		t.Errorf("the store holds %v", got)
	}
	f.must(f.Erase("group/shot"))
	f.age()
	f.collect(3)
	if got := entries(t, filepath.Join(f.shared, "file-store/stored")); len(got) > 0 {
		t.Errorf("stored holds %v", got)
	}
}

func TestAFileIsUsedHoweverALinkGetsToIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	real := filepath.Join(dir, "disk/farm")
	link := filepath.Join(dir, "shared")
	if err := errors.Join(os.MkdirAll(real, 0o777), os.Symlink(real, link)); err != nil {
		t.Fatal(err)
	}
	f := open(t, link)
	jobs := filepath.Join(link, "jobs")
	f.checkout("relative", "a", "1")
	absolute, otherMount, toFolder, indirect, archived := f.put("2"), f.put("3"), f.put("4"), f.put("5"), f.put("6")
	f.must(os.Symlink(f.blob(absolute), filepath.Join(jobs, "absolute")))
	rel, err := filepath.Rel(link, f.blob(otherMount))
	f.must(err)
	f.must(os.Symlink(filepath.Join("/mnt/farm of the Workers", rel), filepath.Join(jobs, "mounted elsewhere")))
	f.must(os.Symlink(filepath.Dir(f.blob(toFolder)), filepath.Join(jobs, "folder")))
	f.must(os.Symlink(f.blob(indirect), filepath.Join(dir, "bridge")))
	f.must(os.Symlink(filepath.Join(dir, "bridge"), filepath.Join(jobs, "indirect")))
	f.must(os.MkdirAll(filepath.Join(link, "archive/shot"), 0o777))
	f.must(os.Symlink(f.blob(archived), filepath.Join(link, "archive/shot/a")))
	f.must(os.Symlink("../archive", filepath.Join(jobs, "archive")))
	f.must(os.Symlink("../../archive", filepath.Join(link, "archive/loop")))
	f.must(os.Symlink("nowhere", filepath.Join(jobs, "dangling")))
	f.must(os.MkdirAll(filepath.Join(jobs, ".making-x"), 0o777))
	making := f.put("7")
	f.must(os.Symlink(filepath.Join("../../../file-store", strings.TrimPrefix(f.blob(making), filepath.Join(link, "file-store"))), filepath.Join(jobs, ".making-x/a")))
	f.put("unused")
	f.age()
	f.collect(1)
	for _, content := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		f.wantContent(f.blob(keyOf(t, content)), content)
	}
}

func TestHardLinksCountAsUseAndCopiesNeedNoFile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Without(1, errors.New("no"))
	f.checkout("linked", "a", "linked")
	f.Without(2, errors.New("no"))
	f.checkout("copied", "a", "copied")
	f.age()
	f.collect(1)
	f.wantContent(f.blob(keyOf(t, "linked")), "linked")
	f.wantContent(filepath.Join(f.shared, "jobs/linked/a"), "linked")
	f.wantContent(filepath.Join(f.shared, "jobs/copied/a"), "copied")
}

func TestNothingIsCollectedWhenCheckoutsCannotBeSeen(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.checkout("shot", "a", "x")
	f.age()
	f.must(os.Rename(filepath.Join(f.shared, "jobs"), filepath.Join(f.shared, "jobs-unmounted")))
	report, err := f.Collect(t.Context(), shaman.CollectOptions{MaxAge: month, DryRun: true})
	f.wantCode(err, farm.CodeStorage)
	if report.Deleted > 0 {
		t.Errorf("%+v", report)
	}
	_, err = f.Collect(t.Context(), shaman.CollectOptions{MaxAge: month})
	f.wantCode(err, farm.CodeStorage)
	f.wantContent(f.blob(keyOf(t, "x")), "x")
}

func TestAFileThatIsTouchedDuringACollectionStays(t *testing.T) {
	t.Parallel()
	f := setup(t)
	unused, touched := f.put("unused"), f.put("touched")
	f.age()
	activities := map[string]bool{}
	report, err := f.Collect(t.Context(), shaman.CollectOptions{MaxAge: month, Progress: func(_, _ int64, activity string) {
		if activities[activity] = true; len(activities) == 1 {
			now := time.Now()
			f.must(os.Chtimes(f.blob(touched), now, now))
		}
	}})
	if err != nil || report.Deleted > 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	f.wantStatus(touched, shaman.Stored)
	f.wantStatus(unused, shaman.Unknown)
	if len(activities) < 2 {
		t.Errorf("told of %v", activities)
	}
}

func TestACollectionThatIsStoppedPutsEverythingBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	for i := range 50 {
		f.put(strings.Repeat("x", i))
	}
	f.age()
	ctx, cancel := context.WithCancel(t.Context())
	report, err := f.Collect(ctx, shaman.CollectOptions{MaxAge: month, Progress: func(done, _ int64, activity string) {
		if strings.HasPrefix(activity, "deleting") && done == 10 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || report.Deleted != 10 {
		t.Fatalf("%+v, %v", report, err)
	}
	if got := tree(t, filepath.Join(f.shared, "file-store")); len(got) != 40 {
		t.Errorf("%d files are left", len(got))
	}
	if got := tree(t, filepath.Join(f.shared, "file-store/stored")); len(got) != 40 {
		t.Errorf("%d files are in their place", len(got))
	}
}

func TestWhatAKilledCollectionMovedAsideIsPutBack(t *testing.T) {
	t.Parallel()
	f := setup(t)
	folder := f.checkout("shot", "a", "x", "b", "y")
	f.must(f.Aside(keyOf(t, "x")))
	f.must(f.Aside(keyOf(t, "y")))
	f.must(f.Recover())
	f.wantContent(filepath.Join(folder, "a"), "x")
	f.wantContent(filepath.Join(folder, "b"), "y")
	f.must(f.Aside(keyOf(t, "x")))
	f.put("x") // the same was uploaded meanwhile
	f.must(f.Recover())
	f.must(f.Recover())
	f.wantContent(filepath.Join(folder, "a"), "x")
	if got := entries(t, filepath.Join(f.shared, "file-store")); !cmp.Equal(got, []string{"stored", "uploading"}) {
		t.Errorf("the store holds %v", got)
	}
}

func TestWhatCrashesLeaveIsRemovedAfterADay(t *testing.T) {
	t.Parallel()
	f := setup(t)
	store, jobs := filepath.Join(f.shared, "file-store"), filepath.Join(f.shared, "jobs")
	sum := keyOf(t, "x").Sum()
	for _, at := range []struct {
		name string
		age  time.Duration
	}{{"1-old", 25 * time.Hour}, {"1-young", 23 * time.Hour}} {
		tmp := filepath.Join(store, "uploading", sum[:2], sum[2:], at.name+".tmp")
		making := filepath.Join(jobs, ".making-"+at.name)
		f.must(errors.Join(os.MkdirAll(filepath.Dir(tmp), 0o777), os.WriteFile(tmp, nil, 0o666), os.MkdirAll(filepath.Join(making, "sub"), 0o777)))
		f.makeOld(tmp, at.age)
		f.makeOld(making, at.age)
	}
	f.must(os.MkdirAll(filepath.Join(store, "uploading/aa", strings.Repeat("b", 62)), 0o777))
	f.must(os.MkdirAll(filepath.Join(store, "stored/aa", strings.Repeat("b", 62)), 0o777))
	f.must(os.MkdirAll(filepath.Join(jobs, "an artist's folder"), 0o777))
	f.makeOld(filepath.Join(jobs, "an artist's folder"), month)
	f.collect(0)
	if got := entries(t, jobs); !cmp.Equal(got, []string{".making-1-young", "an artist's folder"}) {
		t.Errorf("jobs holds %v", got)
	}
	if got := entries(t, filepath.Join(store, "uploading")); !cmp.Equal(got, []string{sum[:2]}) {
		t.Errorf("uploading holds %v", got)
	}
	if got := entries(t, filepath.Join(store, "stored")); len(got) > 0 {
		t.Errorf("stored holds %v", got)
	}
}

func TestCollectionsComeAfterHalfAMinuteAndThenEachPeriod(t *testing.T) {
	t.Parallel()
	shared := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		f := &fixture{t: t, shared: shared}
		var err error
		f.Store, err = shaman.New(shaman.Options{
			SharedStorage: shared, Log: discard, Period: time.Hour,
			Collect: func(context.Context) error {
				at = append(at, time.Since(start))
				return errors.New("killed")
			},
		})
		f.must(err)
		k := f.put("x")
		f.must(f.Aside(k))
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Minute)
		defer cancel()
		if err := f.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		second := time.Second
		if diff := cmp.Diff([]time.Duration{30 * second, 30*second + time.Hour, 30*second + 2*time.Hour}, at); diff != "" {
			t.Error(diff)
		}
		f.wantContent(f.blob(k), "x")
	})
}

func TestWithoutAPeriodNothingIsCollectedByItself(t *testing.T) {
	t.Parallel()
	store, err := shaman.New(shaman.Options{SharedStorage: t.TempDir(), Log: discard, Collect: func(context.Context) error {
		t.Error("collected")
		return nil
	}})
	if err == nil {
		err = store.Run(t.Context())
	}
	if err != nil {
		t.Error(err)
	}
}

func TestWhatIsInTheStoreIsToldByItsName(t *testing.T) {
	t.Parallel()
	sum := keyOf(t, "x").Sum()
	good := "stored/" + sum[:2] + "/" + sum[2:] + "/12.blob"
	for name, want := range map[string]bool{
		good: true, "../../file-store/" + good: true, "/mnt/" + good: true,
		good + "/x": false, strings.Replace(good, "stored", "uploading", 1): false, strings.Replace(good, ".blob", ".tmp", 1): false,
		strings.Replace(good, "12", "012", 1): false, strings.Replace(good, "12", "-12", 1): false, strings.ToUpper(good): false,
		strings.Replace(good, sum[2:], sum[3:], 1): false, "12.blob": false, "": false, "stored/" + sum[:1] + "/" + sum[1:] + "/12.blob": false,
	} {
		if k, ok := shaman.BlobKey(name); ok != want || ok && (k.Size() != 12 || k.Sum() != sum) {
			t.Errorf("%s: %v, %v", name, k, ok)
		}
	}
}
