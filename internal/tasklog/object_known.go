// SPDX-License-Identifier: GPL-3.0-or-later

package tasklog

import (
	"sync"

	"flamenco.farm/internal/farm"
)

// maxKnown is of how many logs it is remembered what they consist of.
const maxKnown = 4096

// known remembers what logs consist of, so that a chunk need not ask. Nothing rests on it: another Manager may have
// written meanwhile, and what a restart forgets is found out again.
type known struct {
	mu   sync.Mutex
	logs map[farm.LogID]*knownLog
}

// knownLog is what this process knows of a log, and its lock: one call at a time changes a log from here.
type knownLog struct {
	sync.Mutex
	users int      // calls that hold or wait for it
	now   *listing // nil = not known
}

func newKnown() *known { return &known{logs: map[farm.LogID]*knownLog{}} }

// take locks a log; free must be called.
func (k *known) take(id farm.LogID) *knownLog {
	k.mu.Lock()
	log := k.logs[id]
	if log == nil {
		if len(k.logs) >= maxKnown {
			k.forgetSome()
		}
		log = &knownLog{}
		k.logs[id] = log
	}
	log.users++
	k.mu.Unlock()
	log.Lock()
	return log
}

func (k *known) free(log *knownLog) {
	log.Unlock()
	k.mu.Lock()
	log.users--
	k.mu.Unlock()
}

// changed forgets what a log consists of.
func (k *known) changed(id farm.LogID) {
	k.mu.Lock()
	_, there := k.logs[id]
	k.mu.Unlock()
	if !there {
		return
	}
	log := k.take(id)
	log.now = nil
	k.free(log)
}

// forgetSome forgets half of what nobody uses.
func (k *known) forgetSome() {
	for id, log := range k.logs {
		if len(k.logs) <= maxKnown/2 {
			return
		}
		if log.users == 0 {
			delete(k.logs, id)
		}
	}
}
