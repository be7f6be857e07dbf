// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

const (
	// batchLanes is how many transactions for several callers run at once: while one waits for the database the other is
	// being run, and more would only wait for the locks of these.
	batchLanes = 2
	// maxBatch is how many callers share a transaction.
	maxBatch = 64
	// batchLockTimeout is how long callers wait together for a lock; then each waits by itself.
	batchLockTimeout = 250 * time.Millisecond
)

// errAlone says that a caller needs a lock that its batch does not hold. To take it then could be out of order.
var errAlone = errors.New("this has to be a transaction of its own")

// member is a caller that may share a transaction with others.
type member struct {
	ctx   context.Context
	ahead Ahead
	fn    func(*Tx) error
	done  chan struct{}
	tx    *Tx
	err   error
	alone bool // it has to run by itself
}

// batch is a transaction for several callers. What they name ahead is locked first: all workers, then all jobs, each in the
// order of their ids. One that needs more, or whatever breaks, runs by itself: members see what those before them did,
// and nothing stays of a batch that was not committed.
type batch struct {
	lanes   *lanes
	pipe    *pipe
	members []*member
	now     time.Time
	doubt   time.Duration
	workers map[string]*query.Worker
	walks   map[string][]readyRow
	slots   map[heldSlot]int64
	jobs    map[int64]string // that are locked, with their UUIDs

	// What members before left behind, so that the next one need not ask.
	states map[string]*Job
	tasks  map[string]*query.LockTaskRow // that nobody has changed yet
	later  later
}

type heldSlot struct {
	worker string
	slot   int
}

// share runs a transaction together with those of others. It is false if the caller has to run it by itself.
func (l *lanes) share(ctx context.Context, a Ahead, fn func(*Tx) error) (shared bool, err error) {
	m := &member{ctx: ctx, ahead: a, fn: fn, done: make(chan struct{})}
	select {
	case l.queue <- m:
	case <-ctx.Done():
		return true, ctx.Err()
	case <-l.quit:
		return false, nil
	}
	select {
	case <-m.done: // waited for even when ctx ends, because fn may be running
		return !m.alone, m.err
	case <-l.quit:
	}
	l.sharing.Wait()
	select {
	case <-m.done:
		return !m.alone, m.err
	default:
		return false, nil
	}
}

// runBatches runs those who share until quit is closed.
func (l *lanes) runBatches() {
	var waiting []*member
	for {
		if len(waiting) == 0 {
			select {
			case m := <-l.queue:
				waiting = append(waiting, m)
			case <-l.quit:
				return
			}
		}
		for full := false; !full && len(waiting) < maxBatch; {
			select {
			case m := <-l.queue:
				waiting = append(waiting, m)
			default:
				full = true
			}
		}
		var now []*member
		now, waiting = oneForEachWorker(waiting)
		if len(now) == 1 {
			l.runOne(now[0])
		} else if len(now) > 1 {
			l.runTogether(now)
		}
		for _, m := range now {
			close(m.done)
		}
	}
}

// oneForEachWorker leaves those for later whose worker has something in the batch already, and answers who gave up.
func oneForEachWorker(all []*member) (now, later []*member) {
	seen := map[string]bool{}
	for _, m := range all {
		if m.err = m.ctx.Err(); m.err != nil {
			close(m.done)
			continue
		}
		if seen[m.ahead.WorkerID] {
			later = append(later, m)
			continue
		}
		seen[m.ahead.WorkerID] = true
		now = append(now, m)
	}
	return now, later
}

// runOne runs a transaction for which there is no company. What has to be tried again its caller does.
func (l *lanes) runOne(m *member) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.ctx), shortTransaction)
	defer cancel()
	m.err = l.once(ctx, m.ahead, m.fn, true)
	if m.alone = mayRunAgain(m.err); m.alone {
		l.usage.retries.Add(1)
	} else if m.err != nil {
		l.usage.undone.Add(1)
	}
}

func (l *lanes) runTogether(members []*member) {
	ctx, cancel := context.WithTimeout(context.Background(), shortTransaction)
	defer cancel()
	b := &batch{
		lanes: l, members: members, workers: map[string]*query.Worker{}, walks: map[string][]readyRow{},
		slots: map[heldSlot]int64{}, jobs: map[int64]string{}, states: map[string]*Job{}, tasks: map[string]*query.LockTaskRow{},
	}
	switch err := b.run(ctx); {
	case errors.Is(err, errUnknown):
		for _, m := range members {
			m.err, m.alone = err, false
		}
	case err != nil: // each meets what is wrong by itself, if it is its own fault
		l.usage.retries.Add(1)
		for _, m := range members {
			m.err, m.alone = nil, true
		}
	}
}

// run runs the members and commits. After an error nothing of it stays.
func (b *batch) run(ctx context.Context) error {
	l, start := b.lanes, time.Now()
	conn, err := l.db.Conn(ctx)
	if err != nil {
		return err
	}
	b.pipe = &pipe{conn: conn}
	event := l.number.Add(1)
	process, err := processOf(conn)
	if err == nil {
		err = b.runMembers(ctx)
	}
	whole := &Tx{ctx: ctx, db: b.pipe, now: b.now, doubt: b.doubt, pg: &pgTx{pipe: b.pipe}}
	if err == nil {
		whole.changes = b.changes()
		err = l.queueEvent(whole, event)
	}
	if err != nil {
		return errors.Join(err, end(ctx, conn, b.pipe))
	}
	if err := l.commit(ctx, whole, conn, process, event); err != nil {
		return err
	}
	for _, m := range b.members {
		if !m.alone {
			l.usage.add(m.tx.done, m.err)
		}
	}
	l.observe(len(b.members), time.Since(start))
	l.tell(whole.changes)
	return nil
}

// changes are those of all members that are not refused, nor run by themselves.
func (b *batch) changes() (all []farm.Change) {
	for _, m := range b.members {
		if m.err == nil && !m.alone {
			all = append(all, m.tx.changes...)
		}
	}
	return all
}

func (b *batch) runMembers(ctx context.Context) error {
	if err := b.pipe.begin(ctx, true); err != nil {
		return err
	}
	now, err := b.lanes.clock.read(ctx, b.pipe)
	if err != nil {
		return err
	}
	b.now, b.doubt = now.Truncate(time.Microsecond), b.lanes.clock.uncertainty()
	if err := b.lockAll(ctx); err != nil {
		return err
	}
	for _, m := range b.members {
		if err := b.runMember(ctx, m); err != nil {
			return err
		}
	}
	return b.later.write(ctx, b.pipe)
}

// lockAll locks what the members name ahead, and reads what they need of it.
func (b *batch) lockAll(ctx context.Context) error {
	var workers, tasks, claiming []string
	for _, m := range b.members {
		workers = append(workers, m.ahead.WorkerID)
		if m.ahead.TaskID != "" {
			tasks = append(tasks, m.ahead.TaskID)
		}
		if m.ahead.Claim {
			claiming = append(claiming, m.ahead.WorkerID)
		}
	}
	questions := []question{{lockWorkerRows, []any{workers}, func(scan func(...any) error) error {
		row := &query.Worker{}
		err := scan(fields(row)...)
		b.workers[row.Uuid] = row
		return err
	}}}
	var candidates []int64
	if len(claiming) > 0 {
		questions = append(questions, question{slotsOfWorkers, []any{claiming}, func(scan func(...any) error) error {
			var at heldSlot
			var task int64
			err := scan(&at.worker, &at.slot, &task)
			b.slots[at] = task
			return err
		}}, question{walksOfWorkers, []any{claiming}, func(scan func(...any) error) error {
			var worker string
			var r readyRow
			err := scan(&worker, &r.job, &r.taskType, &r.priority)
			if len(b.walks[worker]) == 0 {
				candidates = append(candidates, r.job)
			}
			b.walks[worker] = append(b.walks[worker], r)
			return err
		}})
		if err := b.pipe.ask(ctx, questions); err != nil {
			return err
		}
		questions = nil
	}
	if len(tasks) == 0 && len(candidates) == 0 {
		return b.pipe.ask(ctx, questions)
	}
	if candidates == nil {
		candidates = []int64{} // NULL would make all of the list NULL
	}
	return b.pipe.ask(ctx, append(questions, question{lockJobRows, []any{tasks, candidates}, func(scan func(...any) error) error {
		var job lockedJob
		err := scan(&job.id, &job.uuid)
		b.jobs[job.id] = job.uuid
		return err
	}}, question{jobRowsOf, []any{tasks, candidates}, func(scan func(...any) error) error {
		var row query.LockJobRow
		err := scan(fields(&row)...)
		b.states[row.Job.Uuid] = txJob(row)
		return err
	}}, question{taskRowsOf, []any{tasks}, func(scan func(...any) error) error {
		row := &query.LockTaskRow{}
		err := scan(fields(row)...)
		b.tasks[row.Task.Uuid] = row
		return err
	}}))
}

const (
	lockWorkerRows = `SELECT * FROM workers WHERE uuid = ANY($1) AND deleted_at = 0 ORDER BY id` + forUpdate
	jobIDs         = `ANY(ARRAY(SELECT job_id FROM tasks WHERE uuid = ANY($1)) || $2::BIGINT[])`
	lockJobRows    = `SELECT id, uuid FROM jobs WHERE id = ` + jobIDs + ` ORDER BY id` + forUpdate
	jobRowsOf      = jobRowWhere + `jobs.id = ` + jobIDs
	taskRowsOf     = taskRowWhere + `t.uuid = ANY($1)`
	slotsOfWorkers = `SELECT w.uuid, t.slot, t.id FROM workers w JOIN tasks t ON t.worker_id = w.id AND t.status = 'active' WHERE w.uuid = ANY($1)`
)

// walksOfWorkers is walkOfWorker for several. An order within each worker is that of the walk.
var walksOfWorkers = "SELECT w.uuid, c.job_id, c.task_type, c.priority FROM workers w CROSS JOIN LATERAL (" + strings.NewReplacer(
	"$1", "w.id", "$2", fmt.Sprint(firstRow.priority), "$3", "0", "$4", "''", "$5", fmt.Sprint(walkRows),
).Replace(jobsToClaimSQLite) + ") c WHERE w.uuid = ANY($1) ORDER BY w.id, c.priority DESC, c.job_id, c.task_type"

// runMember runs one member. An error is one after which the batch cannot go on.
func (b *batch) runMember(ctx context.Context, m *member) error {
	m.tx = &Tx{
		ctx: ctx, q: query.New(rowLocking{b.pipe}), db: b.pipe, claims: postgresClaims{}, now: b.now, doubt: b.doubt,
		pg: &pgTx{pipe: b.pipe, batch: b, jobs: map[string]*Job{}},
	}
	undo := b.pipe.mark()
	err := b.lookAhead(m.tx, m.ahead)
	if err == nil {
		err = callSafely(m.fn, m.tx)
	}
	if b.pipe.err != nil {
		return b.pipe.err
	}
	switch m.alone = errors.Is(err, errAlone); {
	case m.alone:
	case farm.CodeOf(err) != "":
		m.err = err
	case err != nil:
		return err
	}
	if err != nil && !undo() {
		return err // what it did is on its way
	}
	if err == nil {
		maps.Copy(b.states, m.tx.pg.jobs)
		b.later.add(m.tx.pg.later)
	}
	return nil
}

// job is a job that is locked, as the members so far left it.
func (b *batch) job(tx *pgTx, id string) *Job {
	j := tx.jobs[id]
	if j == nil {
		j = b.states[id]
	}
	j = j.again()
	tx.jobs[id] = j
	return j
}

// forgetTask makes the next member read a task that one is about to change.
func (b *batch) forgetTask(id string) {
	if b != nil {
		delete(b.tasks, id)
	}
}

func (b *batch) forgetTasks() {
	if b != nil {
		clear(b.tasks)
	}
}

// lock is lock for a member: it has what is locked already.
func (b *batch) lock(tx *pgTx, statement string, args []any) (found bool, err error) {
	switch statement {
	case lockJobByID:
		id, _ := args[0].(int64)
		return b.enter(tx, id)
	case lockJob:
		for id, uuid := range b.jobs {
			if uuid == args[0] {
				return b.enter(tx, id)
			}
		}
	}
	return false, errAlone
}

func (b *batch) enter(tx *pgTx, id int64) (found bool, err error) {
	uuid, locked := b.jobs[id]
	if !locked {
		return false, errAlone
	}
	tx.job = lockedJob{id, uuid}
	return true, nil
}

// lookAhead is Tx.lookAhead for a member: what is locked is known, but for a task that a member before changed.
func (b *batch) lookAhead(tx *Tx, a Ahead) error {
	k := &known{worker: b.workers[a.WorkerID], task: b.tasks[a.TaskID]}
	tx.pg.ahead = k
	if a.Claim {
		slot := b.slots[heldSlot{a.WorkerID, a.Slot}]
		k.slot, k.walk, k.walked = &slot, slices.Clone(b.walks[a.WorkerID]), true
	}
	if a.TaskID != "" && k.task == nil {
		if err := b.pipe.ask(tx.ctx, []question{{taskRowOfUUID, []any{a.TaskID}, one(&k.task)}}); err != nil {
			return err
		}
	}
	if k.task == nil {
		return nil
	}
	_, err := b.enter(tx.pg, k.task.Task.JobID)
	return err
}
