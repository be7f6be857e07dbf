// SPDX-License-Identifier: GPL-3.0-or-later

package flow_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/flow"
)

var update = flag.Bool("update", false, "write the generated documentation instead of comparing it")

func TestTheDocumentationSaysWhatTheTablesSay(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "reference", "state-machines.md")
	var page bytes.Buffer
	writePage(&page)
	if *update {
		if err := os.WriteFile(path, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	had, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(had), page.String()); diff != "" {
		t.Errorf("%s is out of date, run: go test ./internal/flow -update\n%s", path, diff)
	}
}

func TestEveryStatusIsExplained(t *testing.T) {
	t.Parallel()
	explained(t, farm.TaskStatuses, taskMeaning)
	explained(t, farm.JobStatuses, jobMeaning)
}

func explained[S ~string](t *testing.T, statuses []S, meaning map[S]string) {
	t.Helper()
	for _, s := range statuses {
		if meaning[s] == "" {
			t.Errorf("%s has no explanation", s)
		}
	}
	if len(meaning) != len(statuses) {
		t.Errorf("%d statuses, %d explanations", len(statuses), len(meaning))
	}
}

func writePage(w io.Writer) {
	fmt.Fprint(w, pageStart)
	writeTasks(w)
	writeJobs(w)
	writeFailures(w)
	writeWorkers(w)
}

func writeTasks(w io.Writer) {
	fmt.Fprint(w, "\n## Tasks\n\n")
	meanings(w, farm.TaskStatuses, taskMeaning)
	fmt.Fprint(w, taskDiagramStart)
	edges := newEdges()
	for _, r := range flow.TaskTable() {
		if r.Cause == flow.ByPerson {
			continue
		}
		for _, from := range r.From {
			for _, to := range r.To {
				if from != to {
					edges.add(string(from), string(to), map[flow.Cause]string{flow.ByWorker: "worker", flow.ByManager: "Manager"}[r.Cause])
				}
			}
		}
	}
	diagram(w, farm.TaskStatuses, "queued", edges)

	fmt.Fprint(w, "\n### Who may change a task\n\nEverything that is not in this table is refused: people get `422`, and a worker's update changes nothing.\n"+
		"Setting the status that a task has already is no change and no error.\n\n")
	var rows [][]string
	for _, r := range flow.TaskTable() {
		rows = append(rows, []string{r.Cause.String(), code(r.From), code(r.To), r.Note})
	}
	table(w, []string{"who", "from", "to", ""}, rows)
	fmt.Fprint(w, taskEnd)

	fmt.Fprint(w, "\n### A task that comes back without a result\n\n"+
		"A worker that signs off, goes to sleep, is deleted, falls silent or starts anew gives its task back. That is never a\n"+
		"failure by itself; the task waits as its job does:\n\n")
	rows = nil
	for _, task := range []farm.TaskStatus{farm.TaskQueued, farm.TaskPaused, farm.TaskCanceled} {
		rows = append(rows, []string{
			code(only(farm.JobStatuses, func(j farm.JobStatus) bool { return flow.Returned(j) == task })), code([]farm.TaskStatus{task}),
		})
	}
	table(w, []string{"the job is", "the task becomes"}, rows)

	late := func(j farm.JobStatus) bool { ok, _ := flow.LateResult(j, farm.TaskQueued); return ok }
	lateTask := func(s farm.TaskStatus) bool { ok, _ := flow.LateResult(farm.JobActive, s); return ok }
	fmt.Fprintf(w, "\nIf that worker reports a result after all, it counts as long as nobody else got the task since, the task still\n"+
		"waits (%s) and the job is one of %s:\na finished frame is not thrown away. In every other case the late result changes nothing.\n",
		code(only(farm.TaskStatuses, lateTask)), code(only(farm.JobStatuses, late)))
}

func writeJobs(w io.Writer) {
	fmt.Fprint(w, "\n## Jobs\n\n")
	meanings(w, farm.JobStatuses, jobMeaning)
	fmt.Fprint(w, jobDiagramStart)
	diagram(w, farm.JobStatuses, "queued", jobEdges())

	fmt.Fprint(w, "\n### What people may ask\n\nAnything else is refused with `422`.\n\n")
	var rows [][]string
	for _, r := range flow.JobTable() {
		to := "refused"
		if r.To != "" {
			to = code([]farm.JobStatus{r.To})
		}
		rows = append(rows, []string{code(r.Asked), code(r.From), to, code(r.Reached), r.Note})
	}
	table(w, []string{"asked for", "of a job that is", "it becomes", "nothing to do if it is", ""}, rows)

	fmt.Fprint(w, "\n### What follows\n\n"+
		"First the job takes its new status, so that nothing more is handed out; then its tasks follow, many at a time; then\n"+
		"the job goes on. After a crash the Manager takes this up where it stopped.\n\n")
	rows = nil
	for _, r := range flow.StepTable() {
		tasks := ""
		if r.TasksTo != "" {
			tasks = code(r.Tasks) + " → " + code([]farm.TaskStatus{r.TasksTo})
		}
		rows = append(rows, []string{code([]farm.JobStatus{r.Status}), tasks, r.Then})
	}
	table(w, []string{"the job is", "its tasks", "then it is"}, rows)
	fmt.Fprint(w, stuckText)

	fmt.Fprint(w, "\n### Requeueing one task\n\n"+
		"The task is queued, and so is every task that depends on it, directly or not. What becomes of the job:\n\n")
	rows = nil
	revivable := map[farm.JobStatus]bool{}
	for _, r := range flow.RequeueTable() {
		to := "as it is"
		if r.To != "" {
			to = code([]farm.JobStatus{r.To})
		}
		for _, s := range r.From {
			revivable[s] = true
		}
		rows = append(rows, []string{code(r.From), to, r.Note})
	}
	refused := only(farm.JobStatuses, func(s farm.JobStatus) bool { return !revivable[s] })
	rows = append(rows, []string{code(refused), "refused", "Wait until that is over."})
	table(w, []string{"the job is", "it becomes", ""}, rows)
}

// jobEdges are all changes of a job's status, with who or what causes them.
func jobEdges() *edgeList {
	edges := newEdges()
	for _, r := range flow.StepTable() {
		for _, to := range r.To {
			edges.add(string(r.Status), string(to), "Manager")
		}
	}
	for _, r := range flow.JobTable() {
		for _, from := range r.From {
			edges.add(string(from), string(r.To), "person")
		}
	}
	for _, r := range flow.RequeueTable() {
		for _, from := range r.From {
			if r.To != "" {
				edges.add(string(from), string(r.To), "task requeued")
			}
		}
	}
	for _, s := range farm.JobStatuses {
		if to := flow.AfterFailure(flow.Job{Status: s, Counts: farm.TaskCounts{Failed: 1}}, false).Status; to != "" {
			edges.add(string(s), string(to), "task failed")
		}
	}
	return edges
}

func writeFailures(w io.Writer) { fmt.Fprintf(w, failureText, flow.FailedPercent) }

func writeWorkers(w io.Writer) {
	fmt.Fprint(w, "\n## Workers\n\n")
	var rows [][]string
	for _, r := range flow.WorkerTable() {
		rows = append(rows, []string{
			code([]farm.WorkerStatus{r.Status}), r.Note, yes(r.Askable), yes(r.AtSignOn), returns(r.Status),
		})
	}
	table(w, []string{
		"status", "meaning", "people and schedules may ask for it", "asked for at sign-on", "coming from `awake` / from elsewhere, it gives its tasks back",
	}, rows)
	fmt.Fprint(w, workerEnd)
}

func returns(to farm.WorkerStatus) string {
	from := func(s farm.WorkerStatus) string {
		if s == to {
			return "–"
		}
		return map[bool]string{true: "yes", false: "no"}[flow.ReturnsTasks(s, to)]
	}
	return from(farm.WorkerAwake) + " / " + from(farm.WorkerTesting)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// only returns those of all that keep is true for.
func only[S any](all []S, keep func(S) bool) []S {
	return slices.DeleteFunc(slices.Clone(all), func(s S) bool { return !keep(s) })
}

func code[S ~string](statuses []S) string {
	words := make([]string, 0, len(statuses))
	for _, s := range statuses {
		words = append(words, "`"+string(s)+"`")
	}
	return strings.Join(words, ", ")
}

func meanings[S ~string](w io.Writer, statuses []S, meaning map[S]string) {
	var rows [][]string
	for _, s := range statuses {
		rows = append(rows, []string{code([]S{s}), meaning[s]})
	}
	table(w, []string{"status", "meaning"}, rows)
}

func table(w io.Writer, head []string, rows [][]string) {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(r, " | "))
	}
}

// edgeList is the arrows of a diagram in the order they were first named, with the labels of each.
type edgeList struct {
	order  [][2]string
	labels map[[2]string][]string
}

func newEdges() *edgeList { return &edgeList{labels: map[[2]string][]string{}} }

func (e *edgeList) add(from, to, label string) {
	edge := [2]string{from, to}
	if _, known := e.labels[edge]; !known {
		e.order = append(e.order, edge)
	}
	if !slices.Contains(e.labels[edge], label) {
		e.labels[edge] = append(e.labels[edge], label)
	}
}

// diagram draws a state diagram; mermaid allows no hyphens in the names of states.
func diagram[S ~string](w io.Writer, statuses []S, start string, edges *edgeList) {
	name := func(s string) string { return strings.ReplaceAll(s, "-", "_") }
	fmt.Fprint(w, "```mermaid\nstateDiagram-v2\n")
	for _, s := range statuses {
		if id := name(string(s)); id != string(s) {
			fmt.Fprintf(w, "    state %q as %s\n", s, id)
		}
	}
	fmt.Fprintf(w, "    [*] --> %s\n", name(start))
	for _, e := range edges.order {
		fmt.Fprintf(w, "    %s --> %s: %s\n", name(e[0]), name(e[1]), strings.Join(edges.labels[e], ", "))
	}
	fmt.Fprint(w, "```\n")
}
