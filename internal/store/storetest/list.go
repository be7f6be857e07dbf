// SPDX-License-Identifier: GPL-3.0-or-later

package storetest

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

func listTests() map[string]func(*Farm) {
	return map[string]func(*Farm){
		"pages in every order show each job once":            pagesJobs,
		"pages in every order show each task once":           pagesTasks,
		"pages in every order show each worker once":         pagesWorkers,
		"a list in parts is the list in one piece":           readsInParts,
		"what is in a list is settled before its first part": settlesLists,
		"a list that nobody reads to its end ends":           leavesLists,
		"a list in parts that cannot be says so":             refusesOddParts,
		"a listed job says what it was submitted with":       listsSpecs,
		"statuses select":                                    selectsByStatus,
		"a search takes every character as it is":            searches,
		"what cannot be a page is refused":                   refusesOddPages,
		"a read that nobody waits for any more is no damage": endsReads,
	}
}

// pager reads one page and returns the names on it.
type pager func(store.Page) (names []string, next string, err error)

// wantPages reads a list in pages of every size and expects what the whole list is, which has to be in this order.
func (f *Farm) wantPages(read pager, order []string, want []string) {
	f.t.Helper()
	whole, next, err := read(store.Page{OrderBy: order})
	f.must(err)
	if next != "" || !slices.Equal(whole, want) {
		f.t.Errorf("ordered by %v the list is %v, not %v, next %q", order, whole, want, next)
	}
	for limit := 1; limit <= len(whole)+1; limit++ {
		var got []string
		page := store.Page{OrderBy: order, Limit: limit}
		for range len(whole) + 1 {
			names, next, err := read(page)
			f.must(err)
			got = append(got, names...)
			if len(names) > limit || (len(names) == 0 && page.After != "") || (next != "" && len(names) < limit) {
				f.t.Errorf("a page of %d has %d rows", limit, len(names))
			}
			if page.After = next; next == "" {
				break
			}
		}
		if page.After != "" || !slices.Equal(got, whole) {
			f.t.Errorf("ordered by %v, %d at a time: %v instead of %v", order, limit, got, whole)
		}
	}
}

// sorted is names in the order of a comparison; equal ones stay in the order of creation.
func sorted[T any](all []T, compare func(a, b T) int, name func(T) string) (names []string) {
	all = slices.Clone(all)
	slices.SortStableFunc(all, compare)
	for _, a := range all {
		names = append(names, name(a))
	}
	return names
}

func pagesJobs(f *Farm) {
	for i := range 7 {
		job := NewJob(fmt.Sprintf("%c%d", 'a'+rune(i%2), i), NewTask("a"))
		job.Priority, job.Type = 10*(i%3), []string{"render", "echo"}[i/4]
		id, _ := f.Submit(job)
		if i%3 == 1 {
			f.saveJob(id, func(j *store.Job) { j.Status = farm.JobPaused })
		}
	}
	read := func(p store.Page) ([]string, string, error) {
		jobs, next, err := f.Store.Jobs(f.ctx, store.JobList{Page: p})
		return sorted(jobs, func(a, b store.ListedJob) int { return 0 }, func(j store.ListedJob) string { return j.Name }), next, err
	}
	all, _, err := f.Store.Jobs(f.ctx, store.JobList{})
	f.must(err)
	name := func(j store.ListedJob) string { return j.Name }
	for field, compare := range map[string]func(a, b store.ListedJob) int{
		"name":     func(a, b store.ListedJob) int { return cmp.Compare(a.Name, b.Name) },
		"type":     func(a, b store.ListedJob) int { return cmp.Compare(a.Type, b.Type) },
		"status":   func(a, b store.ListedJob) int { return cmp.Compare(a.Status, b.Status) },
		"priority": func(a, b store.ListedJob) int { return cmp.Compare(a.Priority, b.Priority) },
		"created":  func(a, b store.ListedJob) int { return a.Created.Compare(b.Created) },
		"updated":  func(a, b store.ListedJob) int { return a.Updated.Compare(b.Updated) },
	} {
		f.wantPages(read, []string{field}, sorted(all, compare, name))
		f.wantPages(read, []string{"-" + field}, sorted(all, func(a, b store.ListedJob) int { return compare(b, a) }, name))
		f.wantPages(read, []string{"-status", field, "-priority", field}, sorted(all, func(a, b store.ListedJob) int {
			return cmp.Or(cmp.Compare(b.Status, a.Status), compare(a, b), cmp.Compare(b.Priority, a.Priority))
		}, name))
	}
	f.wantPages(read, nil, sorted(all, func(a, b store.ListedJob) int { return 0 }, name))
}

func pagesTasks(f *Farm) {
	f.Submit(NewJob("another", NewTasks(3, "a")...))
	job := NewJob("j")
	for i := range 6 {
		task := NewTask([]string{"b", "a"}[i%2])
		task.Name, task.Priority = fmt.Sprintf("task %d", (i*5)%7), i/3
		job.Tasks = append(job.Tasks, task)
	}
	id, ids := f.Submit(job)
	f.End(ids[2], farm.TaskFailed)
	read := func(p store.Page) ([]string, string, error) {
		tasks, next, err := f.Store.Tasks(f.ctx, store.TaskList{Page: p, JobID: id})
		return sorted(tasks, func(a, b farm.Task) int { return 0 }, func(t farm.Task) string { return t.Name }), next, err
	}
	all, _, err := f.Store.Tasks(f.ctx, store.TaskList{JobID: id})
	f.must(err)
	name := func(t farm.Task) string { return t.Name }
	for field, compare := range map[string]func(a, b farm.Task) int{
		"index_in_job": func(a, b farm.Task) int { return cmp.Compare(a.IndexInJob, b.IndexInJob) },
		"name":         func(a, b farm.Task) int { return cmp.Compare(a.Name, b.Name) },
		"type":         func(a, b farm.Task) int { return cmp.Compare(a.Type, b.Type) },
		"status":       func(a, b farm.Task) int { return cmp.Compare(a.Status, b.Status) },
		"priority":     func(a, b farm.Task) int { return cmp.Compare(a.Priority, b.Priority) },
		"updated":      func(a, b farm.Task) int { return a.Updated.Compare(b.Updated) },
	} {
		f.wantPages(read, []string{field}, sorted(all, compare, name))
		f.wantPages(read, []string{"-" + field}, sorted(all, func(a, b farm.Task) int { return compare(b, a) }, name))
	}
	f.wantPages(read, nil, sorted(all, func(a, b farm.Task) int { return 0 }, name))
	if none, next, err := f.Store.Tasks(f.ctx, store.TaskList{JobID: "no such job"}); len(none) != 0 || next != "" || err != nil {
		f.t.Errorf("tasks of no job are %v, %q, %v", none, next, err)
	}
}

func pagesWorkers(f *Farm) {
	gpu := f.tag("gpu")
	for i := range 5 {
		id := f.Worker(fmt.Sprintf("w%d", (i*3)%5), "b", "a")
		f.change(id, func(tx *store.Tx, w *store.Worker) error {
			w.Status = []farm.WorkerStatus{farm.WorkerAwake, farm.WorkerOffline}[i%2]
			w.Deleted = i == 4
			return errors.Join(tx.SetTags(w, []string{gpu}[:i%2]), tx.SaveWorker(w, store.ByManager("")))
		})
	}
	read := func(p store.Page) (names []string, next string, err error) {
		workers, next, err := f.Store.Workers(f.ctx, store.WorkerList{Page: p})
		for _, w := range workers {
			names = append(names, w.Name)
		}
		return names, next, err
	}
	all, _, err := f.Store.Workers(f.ctx, store.WorkerList{})
	f.must(err)
	if len(all) != 4 {
		f.t.Fatalf("%d workers are listed", len(all))
	}
	name := func(w farm.Worker) string { return w.Name }
	for field, compare := range map[string]func(a, b farm.Worker) int{
		"name":      func(a, b farm.Worker) int { return cmp.Compare(a.Name, b.Name) },
		"status":    func(a, b farm.Worker) int { return cmp.Compare(a.Status, b.Status) },
		"last_seen": func(a, b farm.Worker) int { return a.LastSeen.Compare(b.LastSeen) },
	} {
		f.wantPages(read, []string{field}, sorted(all, compare, name))
		f.wantPages(read, []string{"-" + field}, sorted(all, func(a, b farm.Worker) int { return compare(b, a) }, name))
	}
}

func selectsByStatus(f *Farm) {
	id, tasks := f.Submit(NewJob("one", NewTasks(3, "a")...))
	f.Submit(NewJob("two", NewTask("a")))
	f.saveJob(id, func(j *store.Job) { j.Status = farm.JobPaused })
	f.End(tasks[1], farm.TaskFailed)
	w := f.Worker("w")
	f.change(w, func(tx *store.Tx, w *store.Worker) error {
		w.Status = farm.WorkerError
		return tx.SaveWorker(w, store.ByManager(""))
	})
	f.Worker("awake")
	jobs, _, err := f.Store.Jobs(f.ctx, store.JobList{StatusIn: []farm.JobStatus{farm.JobPaused, farm.JobFailed}})
	if f.must(err); len(jobs) != 1 || jobs[0].ID != id {
		f.t.Errorf("selected %v", jobs)
	}
	selected, _, err := f.Store.Tasks(f.ctx, store.TaskList{JobID: id, StatusIn: []farm.TaskStatus{farm.TaskFailed}})
	if f.must(err); len(selected) != 1 || selected[0].ID != tasks[1] {
		f.t.Errorf("selected %v", selected)
	}
	workers, _, err := f.Store.Workers(f.ctx, store.WorkerList{StatusIn: []farm.WorkerStatus{farm.WorkerError}})
	if f.must(err); len(workers) != 1 || workers[0].ID != w {
		f.t.Errorf("selected %v", workers)
	}
}

func searches(f *Farm) {
	for _, name := range []string{"Shot 10%", "shot_10", `back\slash`, "Überblick", "100", "it's"} {
		f.Submit(NewJob(name, NewTask("a")))
	}
	for search, want := range map[string][]string{
		"shot": {"Shot 10%", "shot_10"}, "%": {"Shot 10%"}, "_": {"shot_10"}, `\`: {`back\slash`}, "SLASH": {`back\slash`},
		"Überblick": {"Überblick"}, "BERBLICK": {"Überblick"}, "10": {"Shot 10%", "shot_10", "100"}, "'": {"it's"}, "none": nil,
	} {
		jobs, _, err := f.Store.Jobs(f.ctx, store.JobList{Page: store.Page{Search: search}})
		f.must(err)
		var got []string
		for _, j := range jobs {
			got = append(got, j.Name)
		}
		if !slices.Equal(got, want) {
			f.t.Errorf("searching for %q found %q", search, got)
		}
	}
}

// whole is a list that comes in parts.
func whole[T any](f *Farm, parts iter.Seq2[[]T, error]) (all []T) {
	f.t.Helper()
	for part, err := range parts {
		if f.must(err); len(part) > store.MaxPage {
			f.t.Errorf("a part has %d rows", len(part))
		}
		all = append(all, part...)
	}
	return all
}

// manyTasks is more than a part of a list.
const manyTasks = 2*store.MaxPage + 1

func readsInParts(f *Farm) {
	job := NewJob("j", NewTasks(manyTasks, "a")...)
	for i := range job.Tasks {
		job.Tasks[i].Name = fmt.Sprint(i * 7919 % manyTasks)
	}
	id, ids := f.Submit(job)
	f.Submit(NewJob("another", NewTask("a")))
	f.End(ids[1], farm.TaskFailed)
	for _, l := range []store.TaskList{
		{JobID: id},
		{JobID: id, Page: store.Page{OrderBy: []string{"-index_in_job"}}},
		{JobID: id, Page: store.Page{OrderBy: []string{"name"}}},
		{JobID: id, StatusIn: []farm.TaskStatus{farm.TaskFailed}},
		{JobID: "no such job"},
	} {
		want, _, err := f.Store.Tasks(f.ctx, l)
		f.must(err)
		got := whole(f, f.Store.TaskParts(f.ctx, l))
		if !slices.EqualFunc(got, want, func(a, b farm.Task) bool { return a.ID == b.ID && a.Revision == b.Revision }) {
			f.t.Errorf("%+v: %d tasks in parts, %d in one piece, or others, or in another order", l, len(got), len(want))
		}
	}
	if jobs := whole(f, f.Store.JobParts(f.ctx, store.JobList{})); len(jobs) != 2 || jobs[0].ID != id {
		f.t.Errorf("the jobs are %v", jobs)
	}
	if workers := whole(f, f.Store.WorkerParts(f.ctx, store.WorkerList{})); len(workers) != 0 {
		f.t.Errorf("the workers are %v", workers)
	}
}

// settlesLists changes a job between two parts of the list of its tasks, which would make a cursor by status show some
// twice and others never.
func settlesLists(f *Farm) {
	id, ids := f.Submit(NewJob("j", NewTasks(manyTasks, "a")...))
	seen := map[string]farm.TaskStatus{}
	order := store.Page{OrderBy: []string{"status", "-index_in_job"}}
	for part, err := range f.Store.TaskParts(f.ctx, store.TaskList{JobID: id, Page: order}) {
		f.must(err)
		if len(seen) == 0 {
			f.End(ids[0], farm.TaskCompleted)
			f.End(ids[manyTasks-1], farm.TaskCompleted)
		}
		for _, t := range part {
			if _, twice := seen[t.ID]; twice {
				f.t.Errorf("task %d is there twice", t.IndexInJob)
			}
			seen[t.ID] = t.Status
		}
	}
	if len(seen) != manyTasks || seen[ids[0]] != farm.TaskCompleted || seen[ids[manyTasks-1]] != farm.TaskQueued {
		f.t.Errorf("%d tasks; the first is %s and the last %s", len(seen), seen[ids[0]], seen[ids[manyTasks-1]])
	}
}

func leavesLists(f *Farm) {
	id, _ := f.Submit(NewJob("j", NewTasks(manyTasks, "a")...))
	parts := 0
	for part, err := range f.Store.TaskParts(f.ctx, store.TaskList{JobID: id}) {
		f.must(err)
		if parts++; parts == 2 || len(part) == 0 {
			break
		}
	}
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	var ended []error
	for _, err := range f.Store.TaskParts(ctx, store.TaskList{JobID: id}) {
		ended = append(ended, err)
		cancel()
	}
	if len(ended) != 2 || ended[0] != nil || !errors.Is(ended[1], context.Canceled) {
		f.t.Errorf("a list for somebody who goes away: %v", ended)
	}
}

func refusesOddParts(f *Farm) {
	var ended []error
	for _, err := range f.Store.JobParts(f.ctx, store.JobList{Page: store.Page{OrderBy: []string{"secret"}}}) {
		ended = append(ended, err)
	}
	if len(ended) != 1 {
		f.t.Fatalf("sorting by nothing known: %v", ended)
	}
	f.wantCode(ended[0], farm.CodeInvalid)
}

func listsSpecs(f *Farm) {
	job := NewJob("a", NewTask("a"))
	job.Metadata = map[string]string{"user": "ada"}
	f.Submit(job)
	f.Submit(NewJob("b", NewTask("a")))
	jobs, _, err := f.Store.Jobs(f.ctx, store.JobList{})
	if f.must(err); len(jobs) != 2 || jobs[0].Metadata["user"] != "ada" || len(jobs[1].Metadata) != 0 {
		f.t.Errorf("listed %v", jobs)
	}
}

func refusesOddPages(f *Farm) {
	for i := range 3 {
		f.Submit(NewJob(fmt.Sprint(i), NewTask("a")))
	}
	cursor := func(values string) string { return base64.RawURLEncoding.EncodeToString([]byte(values)) }
	_, byName, err := f.Store.Jobs(f.ctx, store.JobList{Page: store.Page{Limit: 1, OrderBy: []string{"name"}}})
	f.must(err)
	for what, page := range map[string]store.Page{
		"limit: -1":   {Limit: -1},
		"limit: 1001": {Limit: store.MaxPage + 1},
		`order_by: cannot sort by "secret", only by created, name, priority, status, type, updated`: {OrderBy: []string{"secret"}},
		`order_by: cannot sort by "name; DROP TABLE jobs"`:                                          {OrderBy: []string{"name; DROP TABLE jobs"}},
		`order_by: cannot sort by ""`:                                                               {OrderBy: []string{"-"}},
		"after:":                                                                                    {After: "!!"},
		"after: ":                                                                                   {After: cursor(`{}`)},
		"after: not":                                                                                {After: cursor(`["x"]`)},
		"after: not a":                                                                              {After: cursor(`["j.id",{"a":1}]`)},
		"after: not a cursor":                                                                       {After: cursor(`["j.id",1.5]`)},
		"after: not a cursor of":                                                                    {After: byName, OrderBy: []string{"type"}},
		"after: not a cursor of this":                                                               {After: byName, OrderBy: []string{"-name"}},
	} {
		_, _, err := f.Store.Jobs(f.ctx, store.JobList{Page: page})
		if f.wantCode(err, farm.CodeInvalid); err != nil && !strings.Contains(err.Error(), what) {
			f.t.Errorf("the error is %q instead of %q", err, what)
		}
	}
	_, _, err = f.Store.Workers(f.ctx, store.WorkerList{Page: store.Page{After: byName, OrderBy: []string{"name"}}})
	f.wantCode(err, farm.CodeInvalid)
	many := slices.Repeat([]string{"name", "-priority"}, 2000)
	if jobs, _, err := f.Store.Jobs(f.ctx, store.JobList{Page: store.Page{OrderBy: many, After: "", Limit: 2}}); err != nil || len(jobs) != 2 {
		f.t.Errorf("sorting 4000 times: %v, %v", jobs, err)
	}
}

func endsReads(f *Farm) {
	f.Submit(NewJob("j", NewTask("a")))
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, _, err := f.Store.Jobs(ctx, store.JobList{})
	if !errors.Is(err, context.Canceled) || farm.CodeOf(err) != "" {
		f.t.Errorf("a list for nobody: %v", err)
	}
	if _, err := f.Store.JobCounts(ctx); !errors.Is(err, context.Canceled) || farm.CodeOf(err) != "" {
		f.t.Errorf("a count for nobody: %v", err)
	}
	if _, err := f.Store.JobCounts(f.ctx); err != nil {
		f.t.Errorf("the next read: %v", err)
	}
}
