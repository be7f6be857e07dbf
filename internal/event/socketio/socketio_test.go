// SPDX-License-Identifier: GPL-3.0-or-later

package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
)

// one of each kind of change.
var changes = []farm.Change{
	{Kind: farm.ChangeLifecycle, Now: farm.ManagerStartup},
	{Kind: farm.ChangeStatus, Now: farm.StatusReport{Status: farm.StatusActive}},
	{Kind: farm.ChangeJob, JobID: jobID, Now: &farm.JobChange{ID: jobID}},
	{Kind: farm.ChangeTask, JobID: jobID, TaskID: taskID, Now: &farm.TaskChange{ID: taskID, JobID: jobID}},
	{Kind: farm.ChangeTaskLog, JobID: jobID, TaskID: taskID, Now: farm.TaskLog("a line\n")},
	{Kind: farm.ChangeLastRendered, JobID: jobID, Now: &farm.LastRendered{JobID: jobID, Base: "/b", Suffixes: []string{"s"}}},
	{Kind: farm.ChangeWorker, WorkerID: "w", Now: &farm.WorkerChange{ID: "w"}},
	{Kind: farm.ChangeTag, TagID: "t", Now: &farm.TagChange{Tag: farm.Tag{ID: "t"}}},
	fence,
}

func TestBothVersionsAreGreetedAsTheyExpect(t *testing.T) {
	t.Parallel()
	s := start(t)
	for protocol, want := range map[int][2]float64{3: {30000, 60000}, 4: {25000, 20000}} {
		conn, err := s.dial(protocol)
		if err != nil {
			t.Fatal(err)
		}
		c := &client{t: t, conn: conn}
		var hello struct {
			SID                       string
			Upgrades                  []string
			PingInterval, PingTimeout float64
		}
		if err := json.Unmarshal([]byte(c.read()[1:]), &hello); err != nil {
			t.Fatal(err)
		}
		if hello.PingInterval != want[0] || hello.PingTimeout != want[1] || len(hello.SID) < 20 || hello.Upgrades == nil || len(hello.Upgrades) > 0 {
			t.Errorf("EIO=%d: %+v", protocol, hello)
		}
	}
	old := s.connect(3)
	old.write("2")
	if got := old.read(); got != "3" {
		t.Errorf("a ping is answered by %q", got)
	}
	current := s.connect(4)
	current.write("40/admin,")
	if got := current.read(); got != `44/admin,{"message":"Invalid namespace"}` {
		t.Errorf("another namespace is answered by %q", got)
	}
}

func TestEverySubscriptionBringsItsEventsAndNoOthers(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		kind, uuid string
		want       []string
	}{
		{"", "", nil},
		{"allJobs", "", []string{"/jobs"}},
		{"allWorkers", "", []string{"/workers"}},
		{"allWorkerTags", "", []string{"/workertags"}},
		{"allLastRendered", "", []string{"/last-rendered"}},
		{"job", jobID, []string{"/last-rendered", "/task"}},
		{"job", strings.ToUpper(jobID), []string{"/last-rendered", "/task"}},
		{"tasklog", taskID, []string{"/tasklog"}},
		{"job", taskID, nil},
		{"tasklog", jobID, nil},
	} {
		for _, protocol := range []int{3, 4} {
			client := s.connect(protocol)
			if c.kind != "" {
				if got := client.subscribe("subscribe", c.kind, c.uuid); got != "ok" {
					t.Errorf("subscribing to %s: %s", c.kind, got)
				}
			}
			s.bus.Announce(changes...)
			want, got := append([]string{"/lifecycle", "/status"}, c.want...), client.heard()
			slices.Sort(got)
			if slices.Sort(want); !slices.Equal(got, want) {
				t.Errorf("EIO=%d, %s %s: heard %v, want %v", protocol, c.kind, c.uuid, got, want)
			}
			_ = client.conn.CloseNow()
		}
	}
}

func TestWhoIsInSeveralRoomsHearsOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(4)
	c.subscribe("subscribe", "job", jobID)
	c.subscribe("subscribe", "allLastRendered", "")
	c.subscribe("subscribe", "allJobs", "")
	s.bus.Announce(append([]farm.Change{{Kind: farm.ChangeJob, JobID: "other", Mass: true, Now: &farm.JobChange{ID: "other"}}}, changes...)...)
	got := c.heard()
	slices.Sort(got)
	if want := []string{"/jobs", "/jobs", "/last-rendered", "/lifecycle", "/status", "/task"}; !slices.Equal(got, want) {
		t.Errorf("heard %v, want %v", got, want)
	}
}

func TestNothingArrivesAfterUnsubscribing(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(4)
	c.subscribe("subscribe", "job", jobID)
	if got := c.subscribe("unsubscribe", "job", jobID); got != "ok" {
		t.Error(got)
	}
	if got := c.subscribe("unsubscribe", "job", jobID); got != "ok" {
		t.Errorf("a second time: %s", got)
	}
	s.bus.Announce(changes...)
	if got := c.heard(); !slices.Equal(got, []string{"/lifecycle", "/status"}) {
		t.Errorf("heard %v", got)
	}
}

func TestSubscriptionsThatMakeNoSenseAreExplained(t *testing.T) {
	t.Parallel()
	c := start(t).connect(3)
	for payload, want := range map[string]string{
		`{"op":"subscribe","type":"job"}`:                        `uuid: "" is not a valid ID`,
		`{"op":"subscribe","type":"tasklog","uuid":"../../etc"}`: `uuid: "../../etc" is not a valid ID`,
		`{"op":"subscribe","type":"everything"}`:                 `unknown subscription type "everything"`,
		`{"op":"steal","type":"allJobs"}`:                        `unknown subscription op "steal"`,
		`"allJobs"`:                                              "a subscription is an object with op, type and uuid",
		`{"op":"subscribe","type":7}`:                            "a subscription is an object with op, type and uuid",
	} {
		if got := c.send("/subscription", payload); got != want {
			t.Errorf("%s: %q, want %q", payload, got, want)
		}
	}
	if got := c.send("/shutdown", `{}`); got != `there is no event "/shutdown" that a client can send` {
		t.Error(got)
	}
}

func TestARoomThatIsNotAllowedStaysSilent(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *socketio.Options) {
		o.MayJoin = func(_ context.Context, room string) error {
			if room == event.RoomJobs || room == event.RoomChat {
				return errors.New("not you")
			}
			return nil
		}
	})
	c := s.connect(4)
	if got := c.subscribe("subscribe", "allJobs", ""); got != "not you" {
		t.Errorf("subscribing: %q", got)
	}
	if got := c.send("/chat", `"hello"`); got != "you are not in the chat" {
		t.Errorf("chatting: %q", got)
	}
}

func TestChatGoesToEverybodyWithinLimits(t *testing.T) {
	t.Parallel()
	s := start(t)
	a, b := s.connect(3), s.connect(4)
	a.write(`42["/chat",{"text":"grüße <3"}]`)
	for _, c := range []*client{a, b} {
		if got := c.read(); got != `42["/chat",{"text":"grüße <3"}]` {
			t.Errorf("heard %q", got)
		}
	}
	if got := a.send("/chat", `"`+strings.Repeat("x", 5000)+`"`); got != "the message is longer than 4096 bytes" {
		t.Error(got)
	}
	refused := ""
	for range 20 {
		if answer := a.send("/chat", `"spam"`); answer != "ok" {
			refused = answer
		}
	}
	if refused != "too many messages; wait a moment" {
		t.Errorf("twenty messages at once: %q", refused)
	}
}

func TestLimitsKeepClientsFromUsingUpTheManager(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *socketio.Options) { o.Limits.Clients, o.Limits.Subscriptions, o.Limits.Message = 2, 5, 1000 })
	c := s.connect(3) // is in three rooms already
	if got := c.subscribe("subscribe", "allJobs", ""); got != "ok" {
		t.Error(got)
	}
	if got := c.subscribe("subscribe", "tasklog", taskID); got != "ok" {
		t.Error(got)
	}
	if got := c.subscribe("subscribe", "allWorkers", ""); got != "no more than 5 subscriptions are possible" {
		t.Error(got)
	}
	if got := c.subscribe("subscribe", "allJobs", ""); got != "ok" {
		t.Errorf("one that is there already: %s", got)
	}
	other := s.connect(4)
	if conn, err := s.dial(4); err == nil {
		_ = conn.CloseNow()
		t.Error("a third client got in")
	}
	if status, _ := s.request("GET", "EIO=4", ""); status != 503 {
		t.Errorf("a third client that polls: %d", status)
	}
	other.write("4" + strings.Repeat("x", 2000))
	other.isCut()
	c.write(`42["/chat","still here"]`)
	if got := c.read(); got != `42["/chat","still here"]` {
		t.Errorf("the first one hears %q", got)
	}
}

func TestASlowClientIsCutOffAndOthersHearEverything(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(*socketio.Limits){
		"many events":  func(l *socketio.Limits) { l.Waiting, l.WaitingBytes = 50, 1<<30 },
		"much of them": func(l *socketio.Limits) { l.Waiting, l.WaitingBytes = 1<<30, 5<<20 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *socketio.Options) { limit(&o.Limits) })
			slow, quick := s.connect(4), s.connect(4)
			for _, c := range []*client{slow, quick} {
				if got := c.subscribe("subscribe", "allJobs", ""); got != "ok" {
					t.Fatal(got)
				}
			}
			long := strings.Repeat("long ", 20<<10)
			for i := 0; i < 1000 && s.clients() == 2; i++ { // 100 MB at most, more than any network holds
				id := fmt.Sprintf("job %d", i)
				s.bus.Announce(farm.Change{Kind: farm.ChangeJob, JobID: id, Now: &farm.JobChange{ID: id, Name: long}})
				if got := quick.read(); !strings.HasPrefix(got, fmt.Sprintf(`42["/jobs",{"id":%q,`, id)) {
					t.Fatalf("the quick one hears %.60s instead of %s", got, id)
				}
			}
			if n := s.clients(); n != 1 {
				t.Errorf("%d clients are left, want the quick one", n)
			}
			slow.isCut()
		})
	}
}

func TestClientsThatTalkNonsenseAreCutOff(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, nonsense := range []string{
		"", "x", "9", "4", "49", "45-[{}]", "42", `42{}`, `42[]`, `42[7]`, `42["/chat`, "42" + strings.Repeat("1", 30) + `["x"]`,
		`42/other,["/chat",1]`, "1", "41", "b4AAAA", "4b",
	} {
		c := s.connect(3)
		c.write(nonsense)
		c.isCut()
	}
	c := s.connect(4)
	c.write("2") // in this version the server pings
	c.isCut()
	c = s.connect(4)
	if err := c.conn.Write(t.Context(), websocket.MessageBinary, []byte("4")); err != nil {
		t.Fatal(err)
	}
	c.isCut()
}

// Packets that come before the server has said hello must not find a half-made client.
func TestClientsThatCannotWaitDoNoHarm(t *testing.T) {
	t.Parallel()
	s := start(t)
	for i := range 200 {
		conn, err := s.dial(3 + i%2)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			for _, p := range []string{"2", "3", "40", `42["/chat",1]`} {
				if conn.Write(t.Context(), websocket.MessageText, []byte(p)) != nil {
					break
				}
			}
		}
		_ = conn.CloseNow()
	}
	s.connect(3)
}

func TestTheLastWordArrivesBeforeTheConnectionEnds(t *testing.T) {
	t.Parallel()
	s := start(t)
	c := s.connect(4)
	deaf := s.connect(3) // reads nothing, and must not make anybody wait
	s.bus.Announce(farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerShutdown})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	if got := c.read(); got != `42["/lifecycle",{"type":"manager-shutdown"}]` {
		t.Errorf("heard %q", got)
	}
	if err := c.end(); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the connection ended with %v, not with the word that the server goes away", err)
	}
	<-stopped
	if n := s.sio.Stats(); n.Websocket+n.Polling != 0 || n.Told == 0 {
		t.Errorf("after the end: %+v", n)
	}
	deaf.isCut()
	if conn, err := s.dial(4); err == nil {
		_ = conn.CloseNow()
		t.Error("a client got into a server that has stopped")
	}
}

func TestEventsAreMadeOnlyWhileSomebodyIsConnected(t *testing.T) {
	t.Parallel()
	s := start(t)
	if s.bus.Wanted(farm.ChangeTask) {
		t.Error("tasks are wanted before anybody came")
	}
	c := s.connect(3)
	if !s.bus.Wanted(farm.ChangeTask) {
		t.Error("tasks are not wanted although somebody is there")
	}
	c.write("1")
	c.isCut()
	s.stop()
	if s.bus.Wanted(farm.ChangeTask) {
		t.Error("tasks are wanted after everybody went")
	}
}
