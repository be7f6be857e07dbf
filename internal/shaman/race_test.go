// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

const (
	artists    = 6
	iterations = 60 // of each artist
	kept       = 3  // checkouts of an artist that are not erased yet
	contents   = 40 // that all artists share
)

// content is one of the files that the artists upload; they are of different lengths.
func content(i int) string { return strings.Repeat(fmt.Sprintf("content %d\n", i), 1+i*50) }

// artist uploads, checks out and sometimes erases. It returns what it has checked out: folder and content.
func (f *fixture) artist(seed uint64) map[string]int {
	rng := rand.New(rand.NewPCG(seed, seed))
	mine := make(map[string]int)
	for range iterations {
		n := rng.IntN(contents)
		files := []shaman.File{
			{Key: keyOf(f.t, content(n)), Path: "scene.blend"},
			{Key: keyOf(f.t, content((n+1)%contents)), Path: "textures/a.png"},
		}
		name, err := f.submit(fmt.Sprintf("project %d/shot", rng.IntN(3)), files, n)
		if err != nil {
			f.t.Errorf("checkout: %v", err)
			return mine
		}
		mine[name] = n
		if len(mine) <= kept {
			continue
		}
		for old, n := range mine {
			f.wantCheckout(old, n)
			if err := f.Erase(old); err != nil {
				f.t.Errorf("erase: %v", err)
			}
			delete(mine, old)
			break
		}
	}
	return mine
}

// wantCheckout insists on what is in a checkout. Here, where all files are old, one may be aside for a moment.
func (f *fixture) wantCheckout(name string, n int) {
	for path, want := range map[string]string{"scene.blend": content(n), "textures/a.png": content((n + 1) % contents)} {
		var got []byte
		err := fs.ErrNotExist
		for try := 0; try < 10_000 && errors.Is(err, fs.ErrNotExist); try++ {
			got, err = os.ReadFile(filepath.Join(f.shared, "jobs", name, path))
		}
		if err != nil || string(got) != want {
			f.t.Errorf("%s/%s holds %.20q…, %v; want %.20q…", name, path, got, err, want)
		}
	}
}

// submit does what an add-on does, and again for as long as files are collected before they are checked out: here all
// files are old enough for that as soon as they are stored.
func (f *fixture) submit(name string, files []shaman.File, n int) (string, error) {
	var err error
	for range 1000 {
		required, err := f.Requirements(f.t.Context(), files)
		if err != nil {
			return "", err
		}
		for _, r := range required {
			text := content(n)
			if r.Key == files[1].Key {
				text = content((n + 1) % contents)
			}
			if _, err := f.Upload(f.t.Context(), shaman.Upload{Key: r.Key}, strings.NewReader(text)); err != nil {
				return "", err
			}
		}
		made, err := f.Checkout(f.t.Context(), name, files)
		if err == nil || farm.CodeOf(err) != farm.CodeMissing && farm.CodeOf(err) != farm.CodeConflict {
			return made, err
		}
	}
	return "", err
}

// work lets all artists work until they are done; check then looks at everything that they checked out.
func (f *fixture) work(first uint64) (check func()) {
	f.t.Helper()
	made := make([]map[string]int, artists)
	var all sync.WaitGroup
	for i := range artists {
		all.Go(func() { made[i] = f.artist(first + uint64(i)) })
	}
	all.Wait()
	return func() {
		for _, mine := range made {
			for name, n := range mine {
				f.wantCheckout(name, n)
			}
		}
	}
}

func TestNoFileInUseIsCollectedWhileOthersUploadAndCheckOut(t *testing.T) {
	t.Parallel()
	f := setup(t)
	var collectors sync.WaitGroup
	var deleted, runs atomic.Int64
	stop := make(chan struct{})
	for range 2 {
		collectors.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				report, err := f.Collect(t.Context(), shaman.CollectOptions{}) // everything is old enough
				if err != nil {
					t.Errorf("collect: %v", err)
					return
				}
				deleted.Add(report.Deleted)
				runs.Add(1)
			}
		})
	}
	check := f.work(1)
	close(stop)
	collectors.Wait()
	check()
	if deleted.Load() == 0 {
		t.Error("the collections found nothing to delete: this shows nothing")
	}
	t.Logf("%d collections deleted %d files", runs.Load(), deleted.Load())
}

func TestACollectionThatIsKilledAnywhereHarmsNothing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stop := make(chan struct{})
	var killer sync.WaitGroup
	kills := 0
	killer.Go(func() {
		for {
			child := exec.Command(os.Args[0])
			child.Env = append(os.Environ(), "SHAMAN_TEST_COLLECT="+f.shared)
			var said bytes.Buffer
			child.Stderr = &said
			if err := child.Start(); err != nil {
				t.Error(err)
				return
			}
			timer := time.NewTimer(time.Duration(20+rand.IntN(80)) * time.Millisecond)
			over := false
			select {
			case <-timer.C:
			case <-stop:
				over = true
			}
			_ = child.Process.Kill()
			if _ = child.Wait(); said.Len() > 0 && !strings.Contains(said.String(), "race") {
				t.Errorf("the collection said: %s", said.String())
			}
			kills++
			if err := f.Recover(); err != nil {
				t.Error(err)
			}
			if over {
				return
			}
		}
	})
	check := f.work(100)
	close(stop)
	killer.Wait()
	check()
	t.Logf("killed %d times", kills)
	if aside, _ := filepath.Glob(filepath.Join(f.shared, "file-store/collecting/*/*")); len(aside) > 0 {
		t.Errorf("still aside: %v", aside)
	}
}
