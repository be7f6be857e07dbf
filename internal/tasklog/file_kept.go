// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"errors"
	"os"
	"sync"
	"time"

	"flamenco.farm/internal/farm"
)

// openLogs keeps the logs open that were appended to last, so that the next piece of one is a write and nothing else. Whoever
// has the lock of a task takes its log out and puts it back, or closes it. A log that got another name since is not kept:
// rotate looks at what it takes. One that was deleted is found out by isDeleted.
type openLogs struct {
	max int // 0 = none is kept

	mu     sync.Mutex
	byTask map[string]*openLog
}

type openLog struct {
	*os.File
	generation int64
	name       string
	used       time.Time
}

// take is the open log of an attempt, nil if there is none that can be used.
func (o *openLogs) take(id farm.LogID) *openLog {
	l := o.remove(id.TaskID)
	if l != nil && (l.generation != max(id.Generation, 1) || isDeleted(l.File)) {
		_ = l.Close() // what was written to it is told already
		return nil
	}
	return l
}

func (o *openLogs) remove(taskID string) *openLog {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.byTask[taskID]
	delete(o.byTask, taskID)
	return l
}

// forget closes the log of a task, unless somebody is at it.
func (o *openLogs) forget(taskID string) {
	if l := o.remove(taskID); l != nil {
		_ = l.Close() // as above
	}
}

// put keeps a log open, in place of the one that was not used for longest.
func (o *openLogs) put(id farm.LogID, l *openLog) error {
	if o.max == 0 {
		return l.Close()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	l.used = time.Now()
	if o.byTask[id.TaskID] = l; len(o.byTask) <= o.max {
		return nil
	}
	oldest := id.TaskID
	for task, l := range o.byTask {
		if l.used.Before(o.byTask[oldest].used) {
			oldest = task
		}
	}
	_ = o.byTask[oldest].Close() // as above
	delete(o.byTask, oldest)
	return nil
}

// closeUnused closes what was not used since: an attempt that ended otherwise than by its worker's word is not told of, and
// the blocks of a log that was compressed or deleted are free only when it is closed.
func (o *openLogs) closeUnused(since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for task, l := range o.byTask {
		if l.used.Before(since) {
			_ = l.Close() // as above
			delete(o.byTask, task)
		}
	}
}

func (o *openLogs) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, l := range o.byTask {
		errs = append(errs, l.Close())
	}
	clear(o.byTask)
	return errors.Join(errs...)
}
