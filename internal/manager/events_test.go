// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/tasklog"
)

func TestEveryRoomOfEventsHasARuleAndEveryRuleARoom(t *testing.T) {
	t.Parallel()
	const id = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
	rooms := []string{
		event.RoomLifecycle, event.RoomStatus, event.RoomChat, event.RoomJobs, event.RoomWorkers, event.RoomWorkerTags,
		event.RoomLastRendered, event.JobRoom(id), event.JobLastRenderedRoom(id), event.TaskLogRoom(id),
	}
	var patterns []string
	for _, room := range rooms {
		if _, ok := auth.RoomRule(room); !ok {
			t.Errorf("the room %s has no rule", room)
		}
		if err := auth.MayJoin(context.Background(), room); err != nil {
			t.Errorf("nobody may be in %s: %v", room, err)
		}
		patterns = append(patterns, strings.ReplaceAll(room, id, "{id}"))
	}
	ruled := auth.Rooms()
	slices.Sort(ruled)
	slices.Sort(patterns)
	if !slices.Equal(patterns, ruled) {
		t.Errorf("the rooms are\n%v, and rules are for\n%v", patterns, ruled)
	}
	for _, room := range []string{"", "/", "jobs", "/secrets", "/jobs/", "/jobs/a/b", "/jobs/a/last-rendered/x", "/status/x", "/tasklog"} {
		if err := auth.MayJoin(context.Background(), room); farm.CodeOf(err) != farm.CodeForbidden {
			t.Errorf("anybody may be in %q, which is no room: %v", room, err)
		}
	}
}

func TestTheDevelopmentServerOfThisMachineIsTrusted(t *testing.T) {
	t.Parallel()
	origins := trustedOrigins("[::1]:8080")
	for _, want := range []string{"http://localhost:8081", "http://[::1]:8081"} {
		if !slices.Contains(origins, want) {
			t.Errorf("%s is not in %v", want, origins)
		}
	}
	for _, origin := range origins {
		if !strings.HasPrefix(origin, "http://") || !strings.HasSuffix(origin, ":8081") {
			t.Errorf("%s is trusted", origin)
		}
	}
}

func TestManagersOfOneFarmHaveNamesOfTheirOwnAtTheBroker(t *testing.T) {
	t.Parallel()
	for database, want := range map[string]string{"farm.sqlite": "farm", "postgres://db/farm": "farm-01234567"} {
		cfg := config.Config{Database: database, MQTT: config.MQTTClient{ClientID: "farm"}}
		if got := brokerName(cfg, "01234567-89ab-cdef-0123-456789abcdef"); got != want {
			t.Errorf("on %s it is %s, want %s", database, got, want)
		}
	}
}

func TestAPictureOfAnotherManagerIsToldAsTheOthers(t *testing.T) {
	t.Parallel()
	log, bus := slog.New(slog.DiscardHandler), &event.Bus{}
	heard := make(chan farm.Change, 2)
	bus.Attach(nil, log, func(c farm.Change) bool {
		if c.Now != nil {
			heard <- c
		}
		return true
	}).Listen(farm.ChangeLastRendered)
	r := newRelay(bus, nil, log)
	r.previews = preview.New(preview.Options{Log: log, Folder: tasklog.Folder})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.run(ctx) }()
	r.hear([]farm.Change{{Kind: farm.ChangeLastRendered, JobID: "01234567", Remote: true}})
	if c := <-heard; !c.Remote || c.JobID != "01234567" {
		t.Errorf("told %+v", c)
	}
	cancel()
	<-ended
}
