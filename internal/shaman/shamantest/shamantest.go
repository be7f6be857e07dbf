// SPDX-License-Identifier: GPL-3.0-or-later

// Package shamantest is the suite that uploaded files pass which are kept in a blob.Store. It must not know which.
package shamantest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

// Run tests uploads with the places that open makes; each is empty.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *place){
		"what is uploaded can be checked out":              uploaded,
		"any Manager checks out what another one got":      checkedOutElsewhere,
		"what is wrong never becomes visible":              wrongContent,
		"Managers upload the same file at once":            atOnce,
		"many files are asked for at once":                 manyFiles,
		"missing files are named":                          missingFiles,
		"a copy that is gone is fetched again":             copyGone,
		"a damaged file is not checked out":                damaged,
		"unused files are collected":                       collected,
		"what was asked for stays":                         askedFor,
		"a collection that was killed holds up nobody":     killed,
		"files are used while they are collected all time": used,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &place{t: t, blobs: open(t)})
		})
	}
}

// place is a place for files, which Managers share.
type place struct {
	t     *testing.T
	blobs blob.Store
}

// manager opens the place with a shared storage of its own.
func (p *place) manager(maxAge time.Duration) *manager {
	p.t.Helper()
	m := &manager{t: p.t, shared: p.t.TempDir()}
	var err error
	m.Store, err = shaman.New(shaman.Options{SharedStorage: m.shared, Blobs: p.blobs, MaxAge: maxAge, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

func (p *place) names(prefix string) (names []string) {
	p.t.Helper()
	for info, err := range p.blobs.List(p.t.Context(), prefix) {
		if err != nil {
			p.t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

type manager struct {
	*shaman.Store
	t      *testing.T
	shared string
}

const day = 24 * time.Hour

func fileOf(t *testing.T, name, content string) shaman.File {
	t.Helper()
	sum := sha256.Sum256([]byte(content))
	k, err := shaman.NewKey(hex.EncodeToString(sum[:]), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return shaman.File{Key: k, Path: name}
}

func (m *manager) upload(content string) shaman.Outcome {
	m.t.Helper()
	outcome, err := m.Upload(m.t.Context(), shaman.Upload{Key: fileOf(m.t, "x", content).Key}, strings.NewReader(content))
	if err != nil {
		m.t.Fatal(err)
	}
	return outcome
}

// checkout checks files out and compares what is there then with their content.
func (m *manager) checkout(content map[string]string) {
	m.t.Helper()
	var files []shaman.File
	for name, text := range content {
		files = append(files, fileOf(m.t, name, text))
	}
	name, err := m.Checkout(m.t.Context(), "project/job", files)
	if err != nil {
		m.t.Fatal(err)
	}
	for file, want := range content {
		got, err := os.ReadFile(filepath.Join(m.shared, "jobs", name, file))
		if err != nil || string(got) != want {
			m.t.Errorf("%s holds %d bytes, want %d, %v", file, len(got), len(want), err)
		}
	}
}

func (m *manager) status(content string) shaman.Status {
	m.t.Helper()
	status, err := m.Status(m.t.Context(), fileOf(m.t, "x", content).Key)
	if err != nil {
		m.t.Fatal(err)
	}
	return status
}

func (m *manager) collect(opts shaman.CollectOptions) shaman.Report {
	m.t.Helper()
	report, err := m.Collect(m.t.Context(), opts)
	if err != nil {
		m.t.Fatal(err)
	}
	return report
}

func uploaded(t *testing.T, p *place) {
	m := p.manager(day)
	content := map[string]string{"scene.blend": "a scene", "tex/wood.png": strings.Repeat("wood", 100_000), "empty": ""}
	var files []shaman.File
	for name, text := range content {
		files = append(files, fileOf(t, name, text))
	}
	required, err := m.Requirements(t.Context(), files)
	if err != nil || len(required) != len(files) {
		t.Fatalf("required are %v, %v", required, err)
	}
	for _, text := range content {
		if outcome := m.upload(text); outcome != shaman.Accepted {
			t.Errorf("the outcome is %v", outcome)
		}
		if outcome := m.upload(text); outcome != shaman.AlreadyStored {
			t.Errorf("again, the outcome is %v", outcome)
		}
	}
	if required, err := m.Requirements(t.Context(), files); err != nil || len(required) != 0 {
		t.Errorf("required are %v, %v", required, err)
	}
	if n := len(p.names("shaman")); n != len(files) {
		t.Errorf("%d files are stored", n)
	}
	m.checkout(content)
}

func checkedOutElsewhere(_ *testing.T, p *place) {
	content := map[string]string{}
	one := p.manager(day)
	for i := range 30 {
		content[fmt.Sprintf("folder/%d", i)] = fmt.Sprintf("content %d", i)
		one.upload(fmt.Sprintf("content %d", i))
	}
	p.manager(day).checkout(content)
}

func wrongContent(t *testing.T, p *place) {
	m := p.manager(day)
	k := fileOf(t, "x", "right").Key
	for text, code := range map[string]farm.Code{"wrong": farm.CodeMismatch, "long content": farm.CodeMismatch, "less": farm.CodeMismatch} {
		if _, err := m.Upload(t.Context(), shaman.Upload{Key: k}, strings.NewReader(text)); farm.CodeOf(err) != code {
			t.Errorf("%q: %v", text, err)
		}
	}
	breaks := io.MultiReader(strings.NewReader("ri"), readerFunc(func([]byte) (int, error) { return 0, errors.New("it broke") }))
	if _, err := m.Upload(t.Context(), shaman.Upload{Key: k}, breaks); farm.CodeOf(err) != farm.CodeInvalid {
		t.Errorf("a body that breaks off: %v", err)
	}
	if names := p.names(""); len(names) != 0 {
		t.Errorf("stored are %q", names)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func atOnce(t *testing.T, p *place) {
	content := strings.Repeat("the same", 50_000)
	managers := []*manager{p.manager(day), p.manager(day), p.manager(day)}
	outcomes := make([]shaman.Outcome, len(managers))
	var all sync.WaitGroup
	for i, m := range managers {
		all.Go(func() {
			var err error
			if outcomes[i], err = m.Upload(t.Context(), shaman.Upload{Key: fileOf(t, "x", content).Key}, strings.NewReader(content)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	accepted := 0
	for _, o := range outcomes {
		if o == shaman.Accepted {
			accepted++
		}
	}
	if accepted != 1 || len(p.names("shaman")) != 1 {
		t.Errorf("the outcomes are %v, stored are %q", outcomes, p.names("shaman"))
	}
	managers[2].checkout(map[string]string{"x": content})
}

// counting counts lists.
type counting struct {
	blob.Store
	mu    sync.Mutex
	lists int
}

func (c *counting) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	c.mu.Lock()
	c.lists++
	c.mu.Unlock()
	return c.Store.List(ctx, prefix)
}

func manyFiles(t *testing.T, p *place) {
	const n = 3000
	m := p.manager(day)
	var files []shaman.File
	for i := range n {
		files = append(files, fileOf(t, fmt.Sprint(i), fmt.Sprint("content ", i)))
		if i%100 == 0 {
			m.upload(fmt.Sprint("content ", i))
		}
	}
	count := &counting{Store: p.blobs}
	asking := (&place{t: t, blobs: count}).manager(day)
	required, err := asking.Requirements(t.Context(), files)
	if err != nil || len(required) != n-n/100 {
		t.Errorf("%d are required, %v", len(required), err)
	}
	if count.lists > 300 {
		t.Errorf("%d requests for %d files", count.lists, n)
	}
}

func missingFiles(t *testing.T, p *place) {
	m := p.manager(day)
	m.upload("here")
	_, err := m.Checkout(t.Context(), "job", []shaman.File{fileOf(t, "a", "here"), fileOf(t, "b", "away")})
	if farm.CodeOf(err) != farm.CodeMissing || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("got %v", err)
	}
}

func copyGone(t *testing.T, p *place) {
	m := p.manager(day)
	m.upload("content")
	m.checkout(map[string]string{"x": "content"})
	if err := os.RemoveAll(filepath.Join(m.shared, "file-store", "stored")); err != nil {
		t.Fatal(err)
	}
	if status := m.status("content"); status != shaman.Stored {
		t.Errorf("it is %s", status)
	}
	m.checkout(map[string]string{"x": "content"})
}

func damaged(t *testing.T, p *place) {
	p.manager(day).upload("content")
	for _, name := range p.names("shaman") {
		if _, err := p.blobs.Put(t.Context(), name, strings.NewReader("CONTENT")); err != nil {
			t.Fatal(err)
		}
	}
	m := p.manager(day)
	if _, err := m.Checkout(t.Context(), "job", []shaman.File{fileOf(t, "x", "content")}); farm.CodeOf(err) != farm.CodeStorage {
		t.Errorf("got %v", err)
	}
	if _, err := fs.Stat(os.DirFS(m.shared), "jobs/job"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a checkout was made: %v", err)
	}
}

func collected(t *testing.T, p *place) {
	m := p.manager(day)
	for _, text := range []string{"used", "unused", "unused too"} {
		m.upload(text)
	}
	m.checkout(map[string]string{"x": "used"})
	if r := m.collect(shaman.CollectOptions{MaxAge: day}); r.Deleted != 0 || r.Files != 3 || r.Old != 0 {
		t.Errorf("too early: %+v", r)
	}
	if r := m.collect(shaman.CollectOptions{MaxAge: -1, DryRun: true}); r.Deleted != 2 || r.DeletedBytes != 16 {
		t.Errorf("only looking: %+v", r)
	}
	if r := m.collect(shaman.CollectOptions{MaxAge: -1}); r.Deleted != 2 || r.Files != 3 || r.Old != 3 || r.DeletedBytes != 16 {
		t.Errorf("%+v", r)
	}
	if m.status("used") != shaman.Stored || m.status("unused") != shaman.Unknown {
		t.Errorf("the files are %s and %s", m.status("used"), m.status("unused"))
	}
	if names := p.names("shaman-deleting"); len(names) != 0 {
		t.Errorf("left are %q", names)
	}
	m.upload("unused")
	m.checkout(map[string]string{"y": "unused", "z": "used"})
}

// after calls something after each request that says that files are being deleted.
type after struct {
	blob.Store
	do func()
}

func (a after) Create(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	info, err := a.Store.Create(ctx, name, body)
	if strings.HasPrefix(name, "shaman-deleting/") {
		a.do()
	}
	return info, err
}

// afterPut calls something after each mark that a file was asked for.
type afterPut struct {
	blob.Store
	do func()
}

func (a afterPut) Put(ctx context.Context, name string, body io.Reader) (blob.Info, error) {
	info, err := a.Store.Put(ctx, name, body)
	a.do()
	return info, err
}

func askedFor(t *testing.T, p *place) {
	p.manager(day).upload("content")
	told, asked := make(chan struct{}), make(chan shaman.Status, 1)
	asking := (&place{t: t, blobs: afterPut{p.blobs, func() { close(told) }}}).manager(0) // each question makes the file young
	collecting := (&place{t: t, blobs: after{p.blobs, func() {
		go func() { asked <- asking.status("content") }()
		<-told
	}}}).manager(day)
	if r := collecting.collect(shaman.CollectOptions{MaxAge: -1}); r.Deleted != 0 {
		t.Errorf("%+v", r)
	}
	if status := <-asked; status != shaman.Stored {
		t.Errorf("it is %s", status)
	}
	p.manager(day).checkout(map[string]string{"x": "content"})
}

func killed(t *testing.T, p *place) {
	p.manager(day).upload("content")
	ctx, cancel := context.WithCancel(t.Context())
	killed := (&place{t: t, blobs: after{p.blobs, cancel}}).manager(day)
	if _, err := killed.Collect(ctx, shaman.CollectOptions{MaxAge: -1}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	p.manager(0).checkout(map[string]string{"x": "content"})
	// Killed for real, it leaves what says that it is deleting other files.
	k := fileOf(t, "x", "other content").Key
	if _, err := p.blobs.Put(t.Context(), "shaman-deleting/KILLED", strings.NewReader(k.String()+"\n")); err != nil {
		t.Fatal(err)
	}
	p.manager(0).checkout(map[string]string{"y": "content"})
	p.manager(0).upload("third content")
}

func used(t *testing.T, p *place) {
	m := p.manager(0)
	var others sync.WaitGroup
	var collecting sync.Mutex
	ctx, stop := context.WithCancel(t.Context())
	others.Go(func() {
		for ctx.Err() == nil {
			collecting.Lock()
			if _, err := m.Collect(ctx, shaman.CollectOptions{MaxAge: -1}); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			collecting.Unlock()
		}
	})
	kept := map[string]string{}
	read := func(name string) {
		path := filepath.Join(m.shared, "jobs", name, "x")
		got, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) { // here even a new file is old, so that it may be aside until the collection is over
			collecting.Lock()
			got, err = os.ReadFile(path)
			collecting.Unlock()
		}
		if err != nil || string(got) != kept[name] {
			t.Errorf("the checkout holds %q, %v; want %q", got, err, kept[name])
		}
	}
	for i := range 15 {
		content := fmt.Sprintf("content %d", i%3)
		f := fileOf(t, "x", content)
		for tries := 0; ; tries++ { // what is not in a checkout yet may be collected: MaxAge is less than nothing
			if _, err := m.Upload(t.Context(), shaman.Upload{Key: f.Key}, bytes.NewReader([]byte(content))); err != nil {
				t.Fatal(err)
			}
			name, err := m.Checkout(t.Context(), "job", []shaman.File{f})
			if err == nil {
				kept[name] = content
				read(name)
				if i%2 == 0 {
					err = m.Erase(name)
					delete(kept, name)
				}
				if err != nil {
					t.Error(err)
				}
				break
			}
			if farm.CodeOf(err) != farm.CodeMissing || tries == 100 {
				t.Fatal(err)
			}
		}
	}
	stop()
	others.Wait()
	for name := range kept {
		read(name)
	}
}
