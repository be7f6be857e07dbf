// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"os"
	"os/signal"
	"syscall"
	"time"
)

// twice is how soon a signal is the same as the one before: some senders, such as timeout(1), signal both the process and
// its group.
const twice = time.Second

// heed takes one step for each signal, until over is closed. After the last step a signal has its usual effect: it ends
// the Worker where it stands, and the shims end what is left of the task.
func heed(over <-chan struct{}, signals <-chan os.Signal, steps ...func()) {
	for _, step := range steps {
		select {
		case <-signals:
		case <-over:
			return
		}
		step()
		if !ignore(over, signals) {
			return
		}
	}
	signal.Reset(os.Interrupt, syscall.SIGTERM)
}

// ignore lets signals pass for a moment; false means that it is over.
func ignore(over <-chan struct{}, signals <-chan os.Signal) bool {
	moment := time.NewTimer(twice)
	defer moment.Stop()
	for {
		select {
		case <-signals:
		case <-moment.C:
			return true
		case <-over:
			return false
		}
	}
}
