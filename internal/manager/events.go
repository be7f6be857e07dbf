// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/discover"
	"flamenco.farm/internal/event"
	"flamenco.farm/internal/event/mqtt"
	"flamenco.farm/internal/event/socketio"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/farmstatus"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/tasklog"
)

// events is everything that tells people and programs what happens on the farm.
type events struct {
	bus      *event.Bus
	status   *farmstatus.Keeper
	socketio *socketio.Server
	mqtt     *mqtt.Client  // nil = no broker is configured
	told     chan struct{} // closed when clients have heard that the Manager goes
}

func newEvents(cfg config.Config, managerID string, bus *event.Bus, db *store.Store, logs *tasklog.Store, log *slog.Logger) *events {
	e := &events{bus: bus, status: farmstatus.New(db, bus, log), told: make(chan struct{})}
	logs.OnAppend(func(id farm.LogID, text string) {
		if bus.Wanted(farm.ChangeTaskLog) {
			bus.Announce(farm.Change{Kind: farm.ChangeTaskLog, JobID: id.JobID, TaskID: id.TaskID, Now: farm.TaskLog(text)})
		}
	})
	broker := cfg.MQTT
	e.socketio = socketio.New(socketio.Options{
		Bus: bus, Load: db, Log: log, Limits: socketio.DefaultLimits(), Status: e.status.Report, MayJoin: auth.MayJoin,
	})
	switch {
	case !broker.Enabled:
	case broker.Broker == "":
		log.Warn("mqtt.client.enabled is set without mqtt.client.broker: no events are published")
	default:
		client, err := mqtt.New(mqtt.Options{
			Bus: bus, Load: db, Log: log, Broker: broker.Broker, ClientID: brokerName(cfg, managerID), TopicPrefix: broker.TopicPrefix,
			Username: broker.Username, Password: broker.Password,
		})
		if err != nil { // a farm renders without its broker
			log.Error("no events are published to MQTT", "error", err)
			break
		}
		e.mqtt = client
	}
	return e
}

// run tells what happens until ctx ends, and last that the Manager goes: only then do clients lose their connections.
func (e *events) run(ctx context.Context) error {
	defer close(e.told)
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var tellers errgroup.Group
	tellers.Go(func() error { return unlessStopped(own, e.socketio.Run(own)) })
	if e.mqtt != nil {
		tellers.Go(func() error { return unlessStopped(own, e.mqtt.Run(own)) })
	}
	e.bus.Announce(farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerStartup})
	err := e.status.Run(ctx)
	e.bus.Announce(farm.Change{Kind: farm.ChangeLifecycle, Now: farm.ManagerShutdown})
	stop()
	if told := tellers.Wait(); told != nil {
		return told
	}
	return err
}

// mqttStats is what the broker was told; nothing if there is none.
func (e *events) mqttStats() mqtt.Stats {
	if e.mqtt == nil {
		return mqtt.Stats{}
	}
	return e.mqtt.Stats()
}

// lastRendered tells that a job has a new picture.
func (e *events) lastRendered(jobID string, at preview.Info) {
	e.bus.Announce(pictured(jobID, at))
}

func pictured(jobID string, at preview.Info) farm.Change {
	return farm.Change{
		Kind: farm.ChangeLastRendered, JobID: jobID, Now: &farm.LastRendered{JobID: jobID, Base: at.Base, Suffixes: at.Suffixes},
	}
}

// brokerName is what a Manager calls itself at a broker, which throws out the older of two of the same name.
func brokerName(cfg config.Config, managerID string) string {
	if !store.IsPostgres(cfg.Database) {
		return cfg.MQTT.ClientID
	}
	return cfg.MQTT.ClientID + "-" + managerID[:8]
}

// devServerPort is where the development server of the web app listens.
const devServerPort = 8081

// trustedOrigins are the origins of pages, beside the Manager's own, that may use the API: those of the web app's
// development server on this machine, by whichever name.
func trustedOrigins(listen string) []string {
	hosts := []string{"localhost"}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		hosts = append(hosts, host)
	}
	origins := discover.URLs(&net.TCPAddr{IP: net.IPv6unspecified, Port: devServerPort})
	for _, host := range hosts {
		origins = append(origins, strings.ToLower("http://"+net.JoinHostPort(host, strconv.Itoa(devServerPort))))
	}
	slices.Sort(origins)
	return slices.Compact(origins)
}
