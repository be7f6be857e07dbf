// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"slices"
	"strings"
	"testing"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
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
