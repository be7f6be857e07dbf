// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// maxProblems is how many problems a report lists.
const maxProblems = 1000

// Count is what became of the things of one kind.
type Count struct {
	Found    int
	Imported int // in a dry run: would be
	Present  int // in the new farm already
	LeftOut  int // see the problems
}

// Problem is something that could not be brought over as it was.
type Problem struct {
	What string // "job 0e31…": kind and id
	Text string
}

// Report says what an import did.
type Report struct {
	DryRun   bool
	Version  int64 // of the old database's schema, 0 = it says none
	Warnings []string

	Tags, Workers, Schedules, Jobs, Tasks, Logs, Images Count

	Problems []Problem // at most 1000
	More     int       // how many more there are
}

func (r *Report) problem(what, format string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{What: what, Text: fmt.Sprintf(format, args...)})
}

// Print writes the report for people.
func (r Report) Print(w io.Writer) error {
	title := "imported"
	if r.DryRun {
		title = "to import"
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\tfound\t%s\talready there\tleft out\t\n", title)
	for _, line := range []struct {
		name string
		n    Count
	}{
		{"worker tags", r.Tags},
		{"workers", r.Workers},
		{"sleep schedules", r.Schedules},
		{"jobs", r.Jobs},
		{"tasks", r.Tasks},
		{"task logs", r.Logs},
		{"images", r.Images},
	} {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", line.name, line.n.Found, line.n.Imported, line.n.Present, line.n.LeftOut)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "\nWarning: %s.\n", warning)
	}
	if len(r.Problems) > 0 {
		fmt.Fprintf(w, "\nLeft out or changed:\n")
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "- %s: %s\n", p.What, p.Text)
	}
	if r.More > 0 {
		fmt.Fprintf(w, "- and %d more\n", r.More)
	}
	if r.DryRun {
		_, err := fmt.Fprintln(w, "\nNothing was written: this was a dry run.")
		return err
	}
	return nil
}
