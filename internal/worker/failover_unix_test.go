// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

func TestSuccessWithAnyManagerKeepsATaskRunning(t *testing.T) {
	t.Parallel()
	const lease = 8 * time.Second
	f := newFake(t, int(lease.Seconds()))
	a, b := f.door(t), f.door(t)
	up, release := fifo(t), fifo(t)
	f.give(fakeTask{id: "t", onDisconnect: "stop", commands: []map[string]any{gated(up, release)}})
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	log := listen(t, &opts)
	start(t, opts)
	held(t, up)
	silent := make(chan struct{})
	t.Cleanup(func() { close(silent) })
	a.shut(func(_ http.ResponseWriter, r *http.Request) { // it takes every call and answers none
		select {
		case <-r.Context().Done():
		case <-silent:
		}
	})
	<-time.After(lease) // the point of the test
	f.await(t, "may-i-run", 3, b.is)
	if lines := log.saying("task stopped"); len(lines) != 0 {
		t.Errorf("the log has %s", lines)
	}
	if err := os.WriteFile(release, []byte("it\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.await(t, "update", 1, func(c fakeCall) bool { return completed(c) && b.is(c) })
}

func TestATaskThatIsHandedOutAgainGoesOnWithItsNumbers(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	task := fakeTask{id: "t", commands: []map[string]any{echo("hello")}}
	f.give(task, task, fakeTask{id: "u", commands: task.commands})
	start(t, f.options(t))
	f.await(t, "update", 1, func(c fakeCall) bool { return c.task == "u" && completed(c) })
	var numbers []string
	for _, c := range f.all("update") {
		numbers = append(numbers, c.header.Get(headerAssignment)+" "+c.header.Get(headerSequence))
	}
	again := slices.Clone(numbers)
	slices.Sort(again)
	if len(slices.Compact(again)) != len(numbers) || numbers[len(numbers)-2] != "assignment-of-u 1" {
		t.Errorf("numbered %v", numbers)
	}
}

func TestATaskIsStoppedWhenNoManagerAnswers(t *testing.T) {
	t.Parallel()
	f := newFake(t, 2)
	a, b := f.door(t), f.door(t)
	up := fifo(t)
	f.give(fakeTask{id: "t", onDisconnect: string(farm.StopOnDisconnect), commands: []map[string]any{holding(up)}})
	opts := f.options(t)
	opts.Managers = []string{a.server.URL, b.server.URL}
	log := listen(t, &opts)
	start(t, opts)
	gone := held(t, up)
	a.shut(cut)
	b.shut(saysStatus(http.StatusServiceUnavailable))
	gone()
	a.set(nil)
	b.set(nil)
	f.await(t, "task", 2, nil)
	if lines := log.saying("task stopped"); len(lines) != 1 {
		t.Errorf("the log has %s", fmt.Sprint(lines))
	}
}
