// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"

	"flamenco.farm/internal/farm"
)

func TestWhatIsGoneWhenItsPartIsReadIsLeftOut(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	err := s.Do(t.Context(), func(tx *Tx) error {
		for i := range 3 {
			if _, err := tx.InsertJob(farm.NewJob{Name: fmt.Sprint(i), Type: "test"}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ids, _, err := jobQuery(JobList{Page: Page{OrderBy: []string{"-name"}}}).find(t.Context(), s)
	if err != nil || len(ids) != 3 {
		t.Fatal(ids, err)
	}
	jobs, err := jobLists.read(t.Context(), s, []int64{ids[0], ids[0] + 1000, ids[2], ids[1]})
	if err != nil || len(jobs) != 3 || jobs[0].Name+jobs[1].Name+jobs[2].Name != "201" {
		t.Errorf("%v, %v", jobs, err)
	}
}

func TestAPageOfTasksReadsOnlyItsPartOfTheIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	cursor, err := encodeCursor([]any{"t.index_in_job, t.id", 7, 70})
	if err != nil {
		t.Fatal(err)
	}
	q := taskQuery(TaskList{JobID: "j", Page: Page{Limit: 10, After: cursor, OrderBy: []string{"index_in_job"}}})
	keys, err := q.keys()
	if err == nil {
		err = q.startBehind(keys)
	}
	if err != nil {
		t.Fatal(err)
	}
	steps := plan(t, s, "page", q.text(keys))
	if want := "SEARCH t USING COVERING INDEX sqlite_autoindex_tasks_2 (job_id=? AND index_in_job>?)"; steps[0] != want {
		t.Errorf("%q", steps)
	}
}

func TestAWholeListOfTasksWalksTheirIndex(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	steps := plan(t, s, "tasksBehind", tasksBehind)
	if want := "SEARCH t USING INDEX sqlite_autoindex_tasks_2 (job_id=? AND index_in_job>?)"; !slices.Contains(steps, want) || slices.Contains(steps, "USE TEMP B-TREE FOR ORDER BY") {
		t.Errorf("%q", steps)
	}
}

func TestAListIsReadAlthoughAConnectionIsBroken(t *testing.T) {
	t.Parallel()
	s, _ := openOnPostgres(t)
	id := submit(t, s, job("j", 3))
	conn, err := s.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(conn.Raw(func(driver any) error {
		return driver.(*stdlib.Conn).Conn().PgConn().Conn().Close()
	}), conn.Close())
	if err != nil {
		t.Fatal(err)
	}
	if tasks, _, err := s.Tasks(t.Context(), TaskList{JobID: id}); err != nil || len(tasks) != 3 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
}

func TestTheRowsOfAListAreFoundByTheirIDs(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	for _, l := range []list{jobLists.list, taskLists.list, workerLists.list, operationLists.list} {
		among, _ := s.among(l.id, []int64{1, 2})
		for _, step := range plan(t, s, l.id, "SELECT "+l.rows+" WHERE "+among) {
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "json_each") {
				t.Errorf("%s: %s", l.from, step)
			}
		}
	}
}

func TestAJobIsReadByItsIDWithoutItsSettings(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	id := submit(t, s, job("j", 1))
	err := s.Do(t.Context(), func(tx *Tx) error {
		_, err := tx.db.ExecContext(tx.ctx, "UPDATE job_specs SET settings = 'cannot be read'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if jobs, err := s.JobsByID(t.Context(), []string{id, "none"}); err != nil || len(jobs) != 1 || jobs[id].Name != "j" || jobs[id].Tasks.Queued != 1 {
		t.Errorf("%+v, %v", jobs, err)
	}
}
