// SPDX-License-Identifier: GPL-3.0-or-later

package sched_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/internal/testkit/history"
)

// manager is the part of the scheduler that Workers talk to.
type manager interface {
	SignOn(ctx context.Context, workerID string, r sched.SignOn) (sched.SignedOn, error)
	StateChanged(ctx context.Context, c sched.Caller, status farm.WorkerStatus, why string) error
	Claim(ctx context.Context, r sched.ClaimRequest) (sched.Claim, error)
	Update(ctx context.Context, u sched.Update) error
	MayRun(ctx context.Context, c sched.Caller, taskID, assignment string) (sched.Permit, error)
}

const (
	chaosTasks   = 300
	chaosWorkers = 12
)

func TestOnABadNetworkEveryTaskIsCountedOnceAndNoneRunsTwiceAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFarm(t, holding(45*time.Second))
		f.opts.SoftFailLimit = 1000 // a task may be lost as often as the dice want
		f.restart()
		f.running()
		job := f.job(chaosTasks, "misc", func(n *farm.NewJob) {
			for i := range n.Tasks {
				if i%2 == 0 {
					n.Tasks[i].Type = "blender" // keeps running
				}
			}
		})
		ids := make([]string, chaosWorkers)
		for i := range ids {
			ids[i] = f.worker().id
		}
		runs := unleash(t, f.Service, ids, func() bool { return f.getJob(job).Status == farm.JobCompleted })
		tasks, err := history.Load(context.Background(), f.store, job)
		f.must(err)
		for _, wrong := range history.Check(tasks, runs) {
			t.Error(wrong)
		}
		lost := 0
		for _, task := range tasks {
			lost += len(task.Attempts) - 1
		}
		t.Logf("%d tasks, %d runs, %d attempts lost", len(tasks), len(runs), lost)
		if lost < chaosTasks/10 {
			t.Errorf("only %d attempts were lost, this proves little", lost)
		}
	})
}

// The same chaos must show what is wrong with a Manager that believes every report and forgets the margin.
func TestTheSameNetworkShowsTheFaultsOfANaiveManager(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := newNaiveManager()
		ids := make([]string, chaosWorkers)
		for i := range ids {
			ids[i] = uuid.NewString()
		}
		runs := unleash(t, m, ids, m.done)
		found := strings.Join(history.Check(m.history(), runs), "\n")
		for _, fault := range []string{"it ran twice at once", "it was handed out again after attempt 1 had completed it", "it became completed 2 times"} {
			if !strings.Contains(found, fault) {
				t.Errorf("this fault was not found: %s", fault)
			}
		}
	})
}

// unleash lets Workers run behind a bad network until the job is done, and returns what ran.
func unleash(t *testing.T, m manager, ids []string, done func() bool) []history.Run {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	log := &runLog{}
	var all sync.WaitGroup
	for i, id := range ids {
		n := &network{manager: m, dice: rand.New(rand.NewPCG(uint64(i), 2)), all: &all}
		all.Go(func() {
			for ctx.Err() == nil { // each life ends with a crash
				(&simulated{network: n, id: id, log: log}).live(ctx)
			}
		})
	}
	end := time.Now().Add(48 * time.Hour)
	for !done() && time.Now().Before(end) {
		time.Sleep(time.Minute)
	}
	cancel()
	all.Wait()
	synctest.Wait()
	return log.runs
}

type runLog struct {
	mu   sync.Mutex
	runs []history.Run
}

func (l *runLog) add(r history.Run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.runs = append(l.runs, r)
}

var errNetwork = errors.New("connection broken")

// network loses requests and answers, delivers some twice and some much later, and is down for minutes at times.
type network struct {
	manager
	mu        sync.Mutex
	dice      *rand.Rand
	downUntil time.Time
	all       *sync.WaitGroup
}

func (n *network) random(limit int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dice.IntN(limit)
}

func (n *network) down() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return time.Now().Before(n.downUntil)
}

// call makes a call through the network. What it answers to a call that was given up is dropped.
func call[T any](ctx context.Context, n *network, do func(ctx context.Context) (T, error)) (answer T, err error) {
	sleep(ctx, time.Duration(n.random(1000))*time.Millisecond)
	if n.random(300) == 0 {
		n.mu.Lock()
		n.downUntil = time.Now().Add(time.Duration(n.dice.IntN(180)) * time.Second)
		n.mu.Unlock()
	}
	if n.down() {
		sleep(ctx, time.Second)
		return answer, errNetwork
	}
	switch n.random(25) {
	case 0: // the request is lost
		return answer, errNetwork
	case 1: // the answer is lost
		_, _ = do(ctx)
		return answer, errNetwork
	case 2: // delivered twice
		_, _ = do(ctx)
		return do(ctx)
	case 3: // given up by the Worker, but on its way
		n.all.Go(func() {
			if sleep(ctx, time.Duration(n.random(150))*time.Second); ctx.Err() == nil {
				_, _ = do(ctx)
			}
		})
		return answer, errNetwork
	}
	answer, err = do(ctx)
	sleep(ctx, time.Duration(n.random(1000))*time.Millisecond)
	return answer, err
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// simulated is a Worker from its start until it crashes. It keeps the rules of a Worker: stop when the lease runs out
// or the Manager says so, deliver in order, ask for the next task when all is delivered.
type simulated struct {
	*network
	id      string
	log     *runLog
	session string
	lease   time.Duration

	contact time.Time // start of the last call that was answered
}

func (w *simulated) caller() sched.Caller { return sched.Caller{WorkerID: w.id, Session: w.session} }

// until repeats a call until it is answered, and returns the answer.
func until[T any](ctx context.Context, w *simulated, do func(ctx context.Context) (T, error)) (T, error) {
	for {
		began := time.Now()
		answer, err := call(ctx, w.network, do)
		if ctx.Err() != nil {
			return answer, ctx.Err()
		}
		if !errors.Is(err, errNetwork) {
			if err == nil {
				w.renew(began)
			}
			return answer, err
		}
		sleep(ctx, time.Second)
	}
}

func (w *simulated) renew(at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.After(w.contact) {
		w.contact = at
	}
}

func (w *simulated) silence() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Since(w.contact)
}

func (w *simulated) live(ctx context.Context) {
	life, end := context.WithCancel(ctx) // a sign-on that is still on its way ends with the connections of its process
	defer end()
	session := uuid.NewString()
	on, err := until(life, w, func(ctx context.Context) (sched.SignedOn, error) {
		return w.SignOn(ctx, w.id, sched.SignOn{Name: w.id[:8], TaskTypes: []string{"blender", "misc"}, Session: session})
	})
	if err != nil {
		return
	}
	w.session, w.lease = on.Session, on.Lease
	if w.wake(ctx) != nil {
		return
	}
	for ctx.Err() == nil {
		began := time.Now()
		claim, err := call(ctx, w.network, func(ctx context.Context) (sched.Claim, error) {
			return w.Claim(ctx, sched.ClaimRequest{Caller: w.caller()})
		})
		switch {
		case farm.CodeOf(err) == farm.CodeConflict:
			return // signs on again
		case err != nil:
			sleep(ctx, time.Second)
		case claim.Requested != nil:
			if w.wake(ctx) != nil {
				return
			}
		case claim.Assignment != nil:
			w.renew(began)
			if crashed := w.run(ctx, *claim.Assignment); crashed {
				return
			}
		}
	}
}

func (w *simulated) wake(ctx context.Context) error {
	_, err := until(ctx, w, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, w.StateChanged(ctx, w.caller(), farm.WorkerAwake, "")
	})
	return err
}

// run runs a task for up to three minutes and reports about it until the Manager has heard or does not want to.
func (w *simulated) run(ctx context.Context, a farm.Assignment) (crashed bool) {
	stop := a.OnDisconnect == farm.StopOnDisconnect
	running, end := context.WithCancel(ctx)
	var beside sync.WaitGroup
	if stop {
		if w.deliver(ctx, a, 1, farm.TaskActive) != nil { // confirms the lease
			end()
			return false
		}
		beside.Go(func() {
			for running.Err() == nil {
				if left := w.lease - sched.Margin(w.lease) - w.silence(); left > 0 {
					sleep(running, min(left, time.Second))
					continue
				}
				end()
			}
		})
	}
	r := history.Run{Task: a.Task.ID, Assignment: a.ID, Started: time.Now()}
	beside.Go(func() { w.ask(running, a, end) })
	sleep(running, time.Duration(w.random(180))*time.Second)
	r.Finished = running.Err() == nil
	crashed = w.random(20) == 0
	r.Ended = time.Now()
	w.log.add(r)
	end()
	beside.Wait()
	if r.Finished && !crashed {
		_ = w.deliver(ctx, a, 2, farm.TaskCompleted)
	}
	return crashed
}

// ask asks whether the task may go on.
func (w *simulated) ask(running context.Context, a farm.Assignment, end func()) {
	for running.Err() == nil {
		sleep(running, 10*time.Second)
		began := time.Now()
		p, err := call(running, w.network, func(ctx context.Context) (sched.Permit, error) {
			return w.MayRun(ctx, w.caller(), a.Task.ID, a.ID)
		})
		if err != nil {
			continue
		}
		w.renew(began)
		if !p.MayRun {
			end()
		}
	}
}

func (w *simulated) deliver(ctx context.Context, a farm.Assignment, sequence int64, status farm.TaskStatus) error {
	u := sched.Update{Caller: w.caller(), TaskID: a.Task.ID, Assignment: a.ID, Sequence: sequence, Status: &status}
	_, err := until(ctx, w, func(ctx context.Context) (struct{}, error) { return struct{}{}, w.Update(ctx, u) })
	return err
}

// naiveManager does what seems enough on a good network: it takes a Worker for gone that is silent for half its lease,
// believes every report, and lets everything run on that is active.
type naiveManager struct {
	mu    sync.Mutex
	tasks []*history.Task
	seen  map[string]time.Time
}

const naiveLease = time.Minute

func newNaiveManager() *naiveManager {
	m := &naiveManager{seen: map[string]time.Time{}}
	for i := range chaosTasks {
		m.tasks = append(m.tasks, &history.Task{Task: farm.Task{ID: uuid.NewString(), Name: fmt.Sprint("task ", i), Status: farm.TaskQueued}})
	}
	return m
}

func (m *naiveManager) done() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !slices.ContainsFunc(m.tasks, func(t *history.Task) bool { return t.Status != farm.TaskCompleted })
}

func (m *naiveManager) history() (tasks []history.Task) {
	for _, t := range m.tasks {
		tasks = append(tasks, *t)
	}
	return tasks
}

func (m *naiveManager) set(t *history.Task, to farm.TaskStatus) {
	t.Changes = append(t.Changes, farm.StatusChange{From: string(t.Status), To: string(to)})
	t.Status = to
}

func (m *naiveManager) SignOn(context.Context, string, sched.SignOn) (sched.SignedOn, error) {
	return sched.SignedOn{Session: "s", Lease: naiveLease}, nil
}

func (m *naiveManager) StateChanged(context.Context, sched.Caller, farm.WorkerStatus, string) error {
	return nil
}

func (m *naiveManager) Claim(ctx context.Context, r sched.ClaimRequest) (sched.Claim, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[r.WorkerID] = time.Now()
	for _, t := range m.tasks {
		if n := len(t.Attempts); t.Status == farm.TaskActive && time.Since(m.seen[t.Attempts[n-1].WorkerID]) > naiveLease/2 {
			t.Attempts[n-1].Outcome, t.Attempts[n-1].Ended = farm.OutcomeLost, time.Now()
			m.set(t, farm.TaskQueued)
		}
		if t.Status == farm.TaskQueued {
			a := farm.Attempt{Generation: int64(len(t.Attempts) + 1), AssignmentID: uuid.NewString(), WorkerID: r.WorkerID}
			t.Attempts = append(t.Attempts, a)
			m.set(t, farm.TaskActive)
			return sched.Claim{Assignment: &farm.Assignment{ID: a.AssignmentID, OnDisconnect: farm.StopOnDisconnect, Task: t.Task}}, nil
		}
	}
	return sched.Claim{}, nil
}

func (m *naiveManager) find(id string) *history.Task {
	return m.tasks[slices.IndexFunc(m.tasks, func(t *history.Task) bool { return t.ID == id })]
}

func (m *naiveManager) Update(_ context.Context, u sched.Update) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[u.WorkerID] = time.Now()
	t := m.find(u.TaskID)
	for i := range t.Attempts {
		if a := &t.Attempts[i]; a.AssignmentID == u.Assignment && *u.Status == farm.TaskCompleted {
			a.Outcome, a.Ended = farm.OutcomeCompleted, time.Now()
			m.set(t, farm.TaskCompleted)
		}
	}
	return nil
}

func (m *naiveManager) MayRun(_ context.Context, c sched.Caller, taskID, _ string) (sched.Permit, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen[c.WorkerID] = time.Now()
	return sched.Permit{MayRun: m.find(taskID).Status == farm.TaskActive}, nil
}
