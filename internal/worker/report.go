// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/outbox"
)

// How output becomes updates. What comes soon after something else travels with it, so that a short task costs few
// calls; what comes later is never older than updateEvery when it leaves.
const (
	chunkSize    = 10240     // bytes of log that are sent at once
	backlogChunk = 256 << 10 // the same while updates are waiting: output comes faster than it leaves
	backlogLimit = 32 << 20  // bytes in the outbox beyond which output is left out, but for
	tailKept     = 64 << 10  // its last bytes, which tell how the task ended
	firstDelay   = 100 * time.Millisecond
	updateEvery  = 2 * time.Second
)

// update is the body of a task update.
type update struct {
	Status   farm.TaskStatus `json:"taskStatus,omitempty"`
	Activity string          `json:"activity,omitempty"`
	Log      string          `json:"log,omitempty"`
	Steps    *int            `json:"steps_completed,omitempty"`
	Command  *commandState   `json:"command,omitempty"`
}

// commandState says that a command of the task began or ended; only our Manager understands it.
type commandState struct {
	Index    int    `json:"index"`
	Name     string `json:"name"`
	Ended    bool   `json:"ended"`
	ExitCode *int   `json:"exit_code,omitempty"`
}

// reporter gathers what a task has to say and puts it into the outbox. Its methods may be called from any goroutine.
type reporter struct {
	box  *outbox.Box
	log  *slog.Logger
	task string
	id   string // assignment
	in   string // session, "" under an upstream Manager

	mu       sync.Mutex
	pending  update
	text     []byte // log of pending
	leftOut  int    // bytes of log, before text
	sequence int64
	steps    int
	last     time.Time // of the last update
	closed   bool
	kick     chan struct{} // there is something pending
}

// numbering is how far the updates of an assignment are numbered.
type numbering struct {
	assignment string
	sequence   int64
}

// newReporter makes a reporter for a run. A task that is handed out again under the same assignment, after it was stopped,
// goes on with the numbers of the last time: the Manager takes no number twice.
func newReporter(box *outbox.Box, log *slog.Logger, r *run, before numbering) *reporter {
	made := &reporter{
		box: box, log: log, task: r.task.ID, id: r.assignment, in: r.session,
		kick: make(chan struct{}, 1),
	}
	if before.assignment == r.assignment {
		made.sequence = before.sequence
	}
	return made
}

func (r *reporter) numbering() numbering {
	r.mu.Lock()
	defer r.mu.Unlock()
	return numbering{r.id, r.sequence}
}

// run sends what is pending when its time has come.
func (r *reporter) run(ctx context.Context) {
	for {
		select {
		case <-r.kick:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		wait := max(firstDelay, updateEvery-time.Since(r.last))
		r.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		r.flush()
	}
}

// started says that the task runs; it leaves at once, so that people see it.
func (r *reporter) started(first string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending.Status, r.pending.Activity = farm.TaskActive, "Started"
	if first != "" {
		r.command(commandState{Index: 0, Name: first})
	}
	r.send()
	r.last = time.Time{} // the next one need not wait for updateEvery
}

// commandBegan says that a command runs. Saying it of the first again changes nothing.
func (r *reporter) commandBegan(index int, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command(commandState{Index: index, Name: name})
	r.later()
}

// commandEnded says that a command ran; exitCode is nil when it had none.
func (r *reporter) commandEnded(index int, name string, exitCode *int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.command(commandState{Index: index, Name: name, Ended: true, ExitCode: exitCode})
	r.later()
}

// command puts a command's state into the pending update, which has room for one command. The lock is held.
func (r *reporter) command(c commandState) {
	if r.in == "" {
		return
	}
	if p := r.pending.Command; p != nil && p.Index != c.Index {
		r.send()
	}
	r.pending.Command = &c
}

// line adds a line to the log.
func (r *reporter) line(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.text = append(append(r.text, text...), '\n')
	count, size := r.box.Size()
	limit := chunkSize
	if count > 2 {
		limit = backlogChunk
	}
	switch {
	case size > backlogLimit:
		r.leaveOut()
	case len(r.text) > limit:
		r.send()
		return
	}
	r.later()
}

// leaveOut forgets all but the last lines of the pending log, now and then. The lock is held.
func (r *reporter) leaveOut() {
	if len(r.text) < 2*tailKept {
		return
	}
	cut := len(r.text) - tailKept
	if end := bytes.IndexByte(r.text[cut:len(r.text)-1], '\n'); end >= 0 {
		cut += end + 1
	}
	r.leftOut += cut
	r.text = append(r.text[:0], r.text[cut:]...)
}

// step counts completed steps, and says what the task is doing.
func (r *reporter) step(n int, activity string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.steps += n
	steps := r.steps
	r.pending.Steps = &steps
	if activity != "" {
		r.pending.Activity = activity
	}
	r.later()
}

// finished is the last word about the task.
func (r *reporter) finished(status farm.TaskStatus, activity string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending.Status, r.pending.Activity = status, activity
	r.send()
	r.closed = true
}

// flush sends what is pending.
func (r *reporter) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send()
}

// close makes the reporter forget what is pending and say nothing more.
func (r *reporter) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.pending, r.text = update{}, nil
}

func (r *reporter) later() {
	select {
	case r.kick <- struct{}{}:
	default:
	}
}

// send puts the pending update into the outbox. The lock is held.
func (r *reporter) send() {
	r.pending.Log = string(r.text)
	if r.leftOut > 0 {
		r.pending.Log = fmt.Sprintf("[%d bytes of output left out: the Manager could not take them in time]\n%s", r.leftOut, r.text)
	}
	if r.closed || r.pending == (update{}) {
		return
	}
	body, err := json.Marshal(r.pending)
	if err != nil {
		panic("worker: an update cannot be encoded: " + err.Error()) // it holds strings and numbers only
	}
	r.sequence++
	kept, err := r.box.Append(outbox.Update{
		TaskID: r.task, Assignment: r.id, Session: r.in, Sequence: r.sequence, Body: body,
	})
	if err != nil {
		r.log.Error("cannot store an update", "task", r.task, "kept in memory", kept, "error", err)
	}
	r.pending, r.text, r.leftOut = update{}, r.text[:0], 0
	r.last = time.Now()
}
