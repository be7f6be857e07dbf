// SPDX-License-Identifier: GPL-3.0-or-later

package history

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// ReadTally reads the file in which tasks noted their begin and end: lines of name, assignment, begin or end, and the time in
// nanoseconds. Several jobs may have tasks of a name, so that an assignment says which task it was. A file that is missing is that
// of tasks of which none began.
func ReadTally(path string, tasks []Task) (runs []Run, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	ids := map[string]string{} // of tasks, by assignment
	for _, t := range tasks {
		for _, a := range t.Attempts {
			ids[a.AssignmentID] = t.ID
		}
	}
	at := map[string]int{} // by assignment
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var name, assignment, what string
		var nanoseconds int64
		if _, err := fmt.Sscan(lines.Text(), &name, &assignment, &what, &nanoseconds); err != nil {
			return nil, fmt.Errorf("line %q: %w", lines.Text(), err)
		}
		when := time.Unix(0, nanoseconds)
		i, known := at[assignment]
		switch {
		case what == "begin":
			at[assignment] = len(runs)
			runs = append(runs, Run{Task: ids[assignment], Assignment: assignment, Started: when, Ended: when})
		case known:
			runs[i].Ended, runs[i].Finished = when, true
		default:
			return nil, fmt.Errorf("line %q: it never began", lines.Text())
		}
	}
	return runs, lines.Err()
}

// BegunTwice lists the assignments that more than one run has.
func BegunTwice(runs []Run) (wrong []string) {
	seen := map[string]bool{}
	for _, r := range runs {
		if seen[r.Assignment] {
			wrong = append(wrong, fmt.Sprintf("assignment %s began twice", r.Assignment))
		}
		seen[r.Assignment] = true
	}
	return wrong
}
