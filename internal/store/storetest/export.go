// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"flamenco.farm/internal/export"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func exportTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"what was exported and imported is exported again as the same bytes": exportsAgain,
		"a file that is cut at any line is refused":                          refusesCutLines,
		"a file that is cut anywhere or altered is refused":                  refusesDamage,
		"a file that contradicts itself is refused":                          refusesNonsense,
		"an import replaces a farm, and leaves what is not of it":            replacesFarm,
		"an import that is not allowed changes nothing":                      asksBeforeImport,
		"an export is one moment while others write":                         exportsOneMoment,
	}
}

// exported is the farm as a file.
func (f *Farm) exported() []byte {
	f.t.Helper()
	var file bytes.Buffer
	var w *export.Writer
	err := f.Store.Export(f.ctx, func(info store.ExportInfo) (_ store.RowSink, err error) {
		w, err = export.NewWriter(&file, export.Header{Schema: info.Schema, Engine: info.Engine, Exported: time.Now(), Farm: "a farm"})
		return w, err
	})
	f.must(err)
	f.must(w.Close())
	return file.Bytes()
}

func (f *Farm) imports(file []byte) error {
	return f.importsIf(file, func(*store.Tx) error { return nil })
}

func (f *Farm) importsIf(file []byte, allow func(*store.Tx) error) error {
	r, err := export.NewReader(bytes.NewReader(file))
	if err != nil {
		return err
	}
	defer r.Close()
	return f.Store.Import(f.ctx, store.Import{Schema: r.Header().Schema, Rows: r, Allow: allow})
}

// afterHeader is what is behind the header, as it is in the file and as lines.
func (f *Farm) afterHeader(file []byte) (compressed []byte, lines []string) {
	f.t.Helper()
	text := f.unpack(file)
	lines = strings.SplitAfter(text, "\n")
	lines = lines[:len(lines)-1] // there is nothing behind the last end of a line
	first := bytes.LastIndex(file, []byte{0x28, 0xB5, 0x2F, 0xFD})
	if first <= 0 {
		f.t.Fatalf("the header has no frame of its own")
	}
	return file[first:], lines
}

func (f *Farm) unpack(file []byte) string {
	f.t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(file))
	f.must(err)
	defer d.Close()
	text, err := io.ReadAll(d)
	f.must(err)
	return string(text)
}

func (f *Farm) pack(lines ...string) []byte {
	f.t.Helper()
	var file bytes.Buffer
	w, err := zstd.NewWriter(&file)
	f.must(err)
	_, err = io.WriteString(w, strings.Join(lines, ""))
	f.must(err)
	f.must(w.Close())
	return file.Bytes()
}

// fill makes a farm that has something in every table.
func (f *Farm) fill() {
	f.t.Helper()
	gpu, cpu := f.tag("gpu"), f.tag("cpu \"quoted\" \\ \u2028 \x01\x1f\n\t é 🦩")
	one, two := f.Worker("one", "blender", "file"), f.Worker("two", "blender")
	f.Worker("three", "file", "blender")
	f.setTags(one, gpu, cpu)
	f.setTags(two, cpu)
	f.schedule(one, edge, true, farm.SleepWindow{Days: "mo tu", Start: "18:00", End: "08:00"})
	job := NewJob("shot <1> & \"two\"", NewTask("blender"), NewTask("file", 0), NewTask("blender"), NewTask("blender"), NewTask("file", 1, 2))
	job.TagID = cpu
	id, tasks := f.Submit(job)
	f.Submit(NewJob("second", NewTask("file"), NewTask("file", 0)))
	paused := NewJob("paused", NewTask("x"))
	paused.InitialStatus = farm.JobPaused
	f.Submit(paused)
	gone, _ := f.Submit(NewJob("gone", NewTask("y")))
	f.End(f.Claim(one), farm.TaskCompleted)
	f.onTask(f.Claim(two), func(tx *store.Tx, _ *store.Job, t *store.Task) error {
		t.Activity = "invalid \xff\xfe text"
		return errors.Join(tx.StartStep(t, 0, "echo"))
	})
	f.fail(tasks[3], one)
	f.block(id, one, "blender")
	f.rendered(id)
	f.mark(gone)
	f.operation("test", `{}`)
}

func exportsAgain(f *Farm) {
	f.fill()
	first := f.exported()
	wantAfter, lines := f.afterHeader(first)
	for _, table := range []string{"jobs", "task_failures", "attempt_steps", "sleep_schedules", "last_rendered", "job_blocks"} {
		if !strings.Contains(lines[len(lines)-1], fmt.Sprintf("%q:", table)) || strings.Contains(lines[len(lines)-1], fmt.Sprintf("%q:0", table)) {
			f.t.Errorf("there are no %s: %s", table, lines[len(lines)-1])
		}
	}
	other := f.another()
	other.must(other.imports(first))
	other.check()
	second := other.exported()
	if after, _ := other.afterHeader(second); !bytes.Equal(after, wantAfter) {
		f.t.Errorf("the second export has other bytes")
	}
	// And the farm goes on where it was: new rows get numbers that nobody has.
	id, _ := other.Submit(NewJob("later", NewTask("blender")))
	if other.Claim(other.workerID("three")) == "" || other.job(id).Status != farm.JobQueued {
		f.t.Errorf("the imported farm does not work")
	}
	other.check()
}

// RunMoves checks that a farm which moves to another kind of database and back is the same in every byte of its export.
func RunMoves(t *testing.T, from, to Open) {
	f := NewFarm(t, from)
	f.fill()
	there, back := NewFarm(t, to), f.another()
	first := f.exported()
	there.must(there.imports(first))
	there.check()
	second := there.exported()
	back.must(back.imports(second))
	back.check()
	want, _ := f.afterHeader(first)
	for _, file := range [][]byte{second, back.exported()} {
		if after, _ := f.afterHeader(file); !bytes.Equal(after, want) {
			t.Errorf("the export has other bytes after a move")
		}
	}
	there.Submit(NewJob("later", NewTask("blender"))) // its numbers are nobody's
	there.check()
}

// RunMovesOddTexts checks that a database which stores texts only takes over what another one stores as a text all the same.
func RunMovesOddTexts(t *testing.T, from, to Open) {
	f, there := NewFarm(t, from), NewFarm(t, to)
	f.tag("NUL \x00, no UTF-8 \xff, é")
	there.must(there.imports(f.exported()))
	var name string
	there.must(there.rows.QueryRowContext(there.ctx, "SELECT name FROM tags").Scan(&name))
	if want := "NUL \uFFFD, no UTF-8 \uFFFD, é"; name != want {
		t.Errorf("it is %q, want %q", name, want)
	}
}

func (f *Farm) workerID(name string) (id string) {
	f.t.Helper()
	f.must(f.rows.QueryRowContext(f.ctx, "SELECT uuid FROM workers WHERE name = $1", name).Scan(&id))
	return id
}

func refusesCutLines(f *Farm) {
	f.fill()
	_, lines := f.afterHeader(f.exported())
	other := f.another()
	other.Submit(NewJob("old", NewTask("a")))
	before, _ := other.afterHeader(other.exported())
	for n := range lines {
		cut := f.pack(append(append([]string(nil), lines[:n]...), lines[n][:len(lines[n])/2])...)
		if _, _, err := export.Verify(bytes.NewReader(cut)); farm.CodeOf(err) != farm.CodeInvalid {
			f.t.Errorf("cut within line %d: %v", n+1, err)
		}
		cut = f.pack(lines[:n]...)
		if _, _, err := export.Verify(bytes.NewReader(cut)); farm.CodeOf(err) != farm.CodeInvalid {
			f.t.Errorf("cut before line %d: %v", n+1, err)
		}
		if n%6 == 0 || n > len(lines)-3 { // the database takes its time
			f.wantRefused(other, cut, fmt.Sprintf("cut before line %d", n+1))
		}
	}
	f.wantRefused(other, f.pack(append(lines, lines[len(lines)-1])...), "with two ends")
	f.wantRefused(other, f.pack(append(lines, "\n")...), "with an empty line at the end")
	if after, _ := other.afterHeader(other.exported()); !bytes.Equal(after, before) {
		f.t.Errorf("the old farm has changed")
	}
	f.must(other.imports(f.pack(lines...)))
}

// wantRefused imports a file that cannot be one.
func (f *Farm) wantRefused(into *Farm, file []byte, what string) {
	f.t.Helper()
	if err := into.imports(file); farm.CodeOf(err) != farm.CodeInvalid {
		f.t.Errorf("%s: %v", what, err)
	}
}

func refusesDamage(f *Farm) {
	f.fill()
	file := f.exported()
	other := f.another()
	other.Submit(NewJob("old", NewTask("a")))
	before, _ := other.afterHeader(other.exported())
	text := f.unpack(file)
	for n := range file {
		altered := bytes.Clone(file)
		altered[n] ^= 1
		for what, damaged := range map[string][]byte{"cut after": file[:n], "altered": altered} {
			_, _, err := export.Verify(bytes.NewReader(damaged))
			switch {
			case err == nil && what == "altered" && f.unpack(damaged) == text: // some bits of the compression mean nothing
				continue
			case farm.CodeOf(err) != farm.CodeInvalid:
				f.t.Errorf("%s byte %d: %v", what, n, err)
			}
			if n%200 == 0 { // the database takes its time
				f.wantRefused(other, damaged, fmt.Sprintf("%s byte %d", what, n))
			}
		}
	}
	f.wantRefused(other, append(append([]byte(nil), file...), 0), "longer by a byte")
	f.wantRefused(other, append(append([]byte(nil), file...), file...), "twice")
	_, lines := f.afterHeader(file)
	for n := range lines {
		swapped := append([]string(nil), lines...)
		swapped[n] = strings.Replace(lines[n], "1", "2", 1)
		if _, _, err := export.Verify(bytes.NewReader(f.pack(swapped...))); swapped[n] != lines[n] && farm.CodeOf(err) != farm.CodeInvalid {
			f.t.Errorf("altered line %d: %v", n+1, err)
		}
	}
	if after, _ := other.afterHeader(other.exported()); !bytes.Equal(after, before) {
		f.t.Errorf("the old farm has changed")
	}
}

// rewriter is a RowSource that changes another one.
type rewriter struct {
	*export.Reader
	table  string
	change func(table string, values []any) []any
	header func(table string, columns []string) (string, []string)
}

// NextTable implements store.RowSource.
func (r *rewriter) NextTable() (string, []string, error) {
	name, columns, err := r.Reader.NextTable()
	if r.table = name; r.header != nil && err == nil {
		name, columns = r.header(name, columns)
	}
	return name, columns, err
}

// NextRow implements store.RowSource.
func (r *rewriter) NextRow() ([]any, bool, error) {
	values, ok, err := r.Reader.NextRow()
	if ok && r.change != nil {
		values = r.change(r.table, values)
	}
	return values, ok, err
}

func refusesNonsense(f *Farm) {
	f.fill()
	file := f.exported()
	other := f.another()
	other.Submit(NewJob("old", NewTask("a")))
	before, _ := other.afterHeader(other.exported())
	set := func(table string, column int, to any) *rewriter {
		return &rewriter{change: func(name string, values []any) []any {
			if name == table {
				values[column] = to
			}
			return values
		}}
	}
	rename := func(from, to string) *rewriter {
		return &rewriter{header: func(name string, columns []string) (string, []string) {
			return strings.Replace(name, from, to, 1), strings.Split(strings.ReplaceAll(strings.Join(columns, " "), from, to), " ")
		}}
	}
	for what, r := range map[string]*rewriter{
		"a text as number":           set("jobs", 5, "high"),
		"a number as text":           set("jobs", 3, int64(3)),
		"a number as bool":           set("tasks", 10, int64(1)),
		"a float":                    set("tasks", 10, 1.5),
		"nothing where something is": set("jobs", 5, nil),
		"a path as identifier":       set("jobs", 1, "../../../../../etc/flamenco/xxxxxxxxx"),
		"settings that are no JSON":  set("job_specs", 1, "{"),
		"a status that is none":      set("workers", 7, "bored"),
		"one number for all":         set("jobs", 0, int64(1)),
		"a job that is not there":    set("tasks", 2, int64(4711)),
		"wrong counters":             set("jobs", 10, int64(100)),
		"tasks that look ready":      set("tasks", 10, true),
		"wrong claims":               set("job_ready", 5, int64(7)),
		"a row too short":            {change: func(_ string, values []any) []any { return values[1:] }},
		"a table that nobody knows":  rename("tags", "goose_db_version"),
		"a column that nobody knows": rename("description", "description; DROP TABLE jobs"),
	} {
		reader, err := export.NewReader(bytes.NewReader(file))
		f.must(err)
		r.Reader = reader
		err = other.Store.Import(f.ctx, store.Import{Schema: reader.Header().Schema, Rows: r, Allow: func(*store.Tx) error { return nil }})
		if farm.CodeOf(err) != farm.CodeInvalid {
			f.t.Errorf("%s: %v", what, err)
		}
		reader.Close()
	}
	for _, version := range []int64{-1, 1} {
		reader, err := export.NewReader(bytes.NewReader(file))
		f.must(err)
		err = other.Store.Import(f.ctx, store.Import{Schema: reader.Header().Schema + version, Rows: reader})
		if farm.CodeOf(err) != farm.CodeInvalid {
			f.t.Errorf("a schema %+d: %v", version, err)
		}
		reader.Close()
	}
	if after, _ := other.afterHeader(other.exported()); !bytes.Equal(after, before) {
		f.t.Errorf("the old farm has changed")
	}
}

func replacesFarm(f *Farm) {
	f.fill()
	file := f.exported()
	other := f.another()
	other.fill()
	old, _ := other.Submit(NewJob("old", NewTask("a")))
	running := other.runningOperation(`{"n":1}`)
	other.takeChanges()
	f.must(other.importsIf(file, func(tx *store.Tx) error { return tx.CancelQueuedOperations("another farm came") }))
	_, err := other.Store.Job(f.ctx, old)
	f.wantCode(err, farm.CodeNotFound)
	if o, err := other.Store.Operation(f.ctx, running); err != nil || o.Status != farm.OperationRunning {
		f.t.Errorf("the running operation is %+v, %v", o, err)
	}
	if n := other.count("SELECT count(*) FROM operations WHERE status = 'canceled' AND activity = 'another farm came' AND ended_at > 0"); n != 1 {
		f.t.Errorf("%d operations are canceled", n)
	}
	refreshed, canceled := 0, 0
	for _, c := range other.takeChanges() {
		switch {
		case c.Kind == farm.ChangeRefresh && c.JobID == "" && !c.Heard:
			refreshed++
		case c.Kind == farm.ChangeOperation:
			canceled++
		}
	}
	if refreshed != 1 || canceled != 1 {
		f.t.Errorf("it was told %d times that anything may have changed, and of %d operations", refreshed, canceled)
	}
	other.check()
}

func asksBeforeImport(f *Farm) {
	f.fill()
	file := f.exported()
	other := f.another()
	if contents, err := other.Store.FarmContents(f.ctx); err != nil || contents != "" {
		f.t.Errorf("an empty farm has %q, %v", contents, err)
	}
	other.Submit(NewJob("old", NewTask("a")))
	other.Worker("w")
	before, _ := other.afterHeader(other.exported())
	stop := errors.New("stop")
	err := other.importsIf(file, func(tx *store.Tx) error {
		if contents, err := tx.FarmContents(); err != nil || contents != "1 jobs, 1 workers" {
			f.t.Errorf("the farm has %q, %v", contents, err)
		}
		return errors.Join(stop, tx.DeleteTag("none"))
	})
	if !errors.Is(err, stop) {
		f.t.Errorf("imported with %v", err)
	}
	if after, _ := other.afterHeader(other.exported()); !bytes.Equal(after, before) {
		f.t.Errorf("the old farm has changed")
	}
}

// exportsOneMoment exports while tasks are claimed and ended: an import refuses what is not of one moment.
func exportsOneMoment(f *Farm) {
	f.Submit(NewJob("long", NewTasks(300, "a")...))
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for n := range 3 {
		w := f.Worker(fmt.Sprint("w", n), "a")
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				task := f.Claim(w)
				if task == "" {
					return
				}
				f.End(task, farm.TaskCompleted)
			}
		})
	}
	var files [][]byte
	for range 5 {
		files = append(files, f.exported())
	}
	close(stop)
	writers.Wait()
	other := f.another()
	for _, file := range files {
		f.must(other.imports(file))
		other.check()
	}
}
