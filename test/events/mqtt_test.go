// SPDX-License-Identifier: GPL-3.0-or-later

package events

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/pkg/api"
)

const (
	brokerUser     = "farm"
	brokerPassword = "open sesame"
)

// broker is a mosquitto that lets in only who knows the password.
type broker struct {
	t    *testing.T
	dir  string
	port string
	said chan string // what it logs
	stop func()
}

func startBroker(t *testing.T) *broker {
	t.Helper()
	b := &broker{t: t, dir: t.TempDir()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, b.port, err = net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	passwords := filepath.Join(b.dir, "passwords")
	if out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", "-b", "-c", passwords, brokerUser, brokerPassword).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v %s; `make with-deps` installs it", err, out)
	}
	settings := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nallow_anonymous false\npassword_file %s\n", b.port, passwords)
	if err := os.WriteFile(filepath.Join(b.dir, "mosquitto.conf"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	return b
}

// start starts the broker and waits until it accepts connections.
func (b *broker) start() {
	b.t.Helper()
	said := make(chan string, 10_000)
	b.said = said
	name, err := exec.LookPath("mosquitto")
	if err != nil {
		name = "/usr/sbin/mosquitto" // which is not in everybody's path
	}
	cmd := exec.CommandContext(b.t.Context(), name, "-v", "-c", filepath.Join(b.dir, "mosquitto.conf"))
	stderr, err := cmd.StderrPipe() // it logs there
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatalf("%v; `make with-deps` installs it", err)
	}
	go scan(stderr, func(line string) {
		select {
		case said <- line:
		default: // nobody reads it any more
		}
	}, func() { close(said) })
	stopped := false
	b.stop = func() {
		if !stopped {
			stopped = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
	}
	b.t.Cleanup(b.stop)
	b.says("running")
}

// says waits until the broker logs something.
func (b *broker) says(what string) {
	b.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		select {
		case line, ok := <-b.said:
			if strings.Contains(line, what) {
				return
			}
			if !ok {
				b.t.Fatalf("mosquitto ended before it said %q", what)
			}
		case <-limit.C:
			b.t.Fatalf("mosquitto does not say %q", what)
		}
	}
}

// listen subscribes to everything below a topic.
func (b *broker) listen(t *testing.T, topic string) *output {
	t.Helper()
	o := newOutput(t, "mosquitto_sub")
	cmd := exec.CommandContext(t.Context(), "mosquitto_sub", "-V", "mqttv5", "-h", "127.0.0.1", "-p", b.port, "-u", brokerUser,
		"-P", brokerPassword, "-q", "1", "-t", topic+"/#", "-F", "%j")
	run(t, cmd, func(text string) {
		var m struct {
			Topic   string
			QoS     int
			Retain  int
			Payload json.RawMessage
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Errorf("mosquitto_sub prints %q: %v", text, err)
		}
		if m.QoS != 1 || m.Retain != 0 {
			t.Errorf("%s comes with quality %d and retained %d", m.Topic, m.QoS, m.Retain)
		}
		payload := []byte(m.Payload)
		var quoted string
		if json.Unmarshal(m.Payload, &quoted) == nil { // before mosquitto 2.0.13
			payload = []byte(quoted)
		}
		o.add(line{Event: m.Topic, Data: payload})
	})
	b.says("Sending SUBACK")
	return o
}

func TestABrokerHearsOfTheFarmAlsoAfterItsRestart(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	heard := b.listen(t, "studio")
	f := startSite(t, func(c *config.Config) {
		c.MQTT.Enabled, c.MQTT.Broker, c.MQTT.TopicPrefix = true, "tcp://127.0.0.1:"+b.port, "studio"
		c.MQTT.Username, c.MQTT.Password = brokerUser, brokerPassword
	})
	f.worker("events")
	job := f.runJob()
	heard.heardTheJob(job)
	heard.until("the Manager's start arrived", func() bool {
		return last(decode[api.EventLifeCycle](t, heard.of("studio/lifecycle"))).Type == api.LifeCycleEventTypeManagerStartup
	})
	heard.until("the Worker is awake", func() bool {
		return last(decode[api.EventWorkerUpdate](t, heard.of("studio/workers"))).Status == api.WorkerStatusAwake
	})

	b.stop()
	b.start()
	heard = b.listen(t, "studio")
	job = f.runJob()
	heard.heardTheJob(job)

	f.stop()
	heard.until("the Manager's end arrived", func() bool {
		return last(decode[api.EventLifeCycle](t, heard.of("studio/lifecycle"))).Type == api.LifeCycleEventTypeManagerShutdown
	})
}

func (f *site) runJob() api.Job {
	f.t.Helper()
	job := f.submit("hello", 1)
	f.begin(job.ID)
	return job
}

func (o *output) heardTheJob(job api.Job) {
	o.t.Helper()
	o.until("the job is completed and the farm idle", func() bool {
		jobs, states := decode[api.EventJobUpdate](o.t, o.of("studio/jobs")), decode[api.EventFarmStatus](o.t, o.of("studio/status"))
		return last(jobs).ID == job.ID && last(jobs).Status == api.JobStatusCompleted && last(states).Status == api.FarmStatusIdle
	})
	status := map[string]api.TaskStatus{}
	for _, u := range decode[api.EventTaskUpdate](o.t, o.of("studio/jobs/"+job.ID)) {
		if before, known := status[u.ID]; known && *u.PreviousStatus != before {
			o.t.Errorf("a task that was %s goes on from %s", before, *u.PreviousStatus)
		}
		status[u.ID] = u.Status
	}
	if len(status) != 2 {
		o.t.Errorf("%d tasks were heard of, want 2", len(status))
	}
	for id, s := range status {
		if s != api.TaskStatusCompleted {
			o.t.Errorf("task %s ends as %s", id, s)
		}
	}
}

func TestABrokerThatRefusesThePasswordStopsNothing(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	f := startSite(t, func(c *config.Config) {
		c.MQTT.Enabled, c.MQTT.Broker = true, "mqtt://127.0.0.1:"+b.port
		c.MQTT.Username, c.MQTT.Password = brokerUser, "wrong"
	})
	f.worker("events")
	job := f.runJob()
	for j, err := range f.WatchJob(t.Context(), job.ID) {
		if err != nil {
			t.Fatal(err)
		}
		if j.Status == api.JobStatusCompleted {
			break
		}
	}
}
