// SPDX-License-Identifier: GPL-3.0-or-later

// Package mqtt publishes what happens on the farm to an MQTT 5 broker. It owns the connection and what waits while there
// is none. It must not know where events come from.
package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
)

const (
	keepAlive      = 30   // seconds
	maxWaiting     = 1000 // messages that wait for the broker
	reconnectAfter = 10 * time.Second
	partingTime    = 500 * time.Millisecond
	sessionExpiry  = 300 // seconds for which the broker is asked to remember what it was sent
	atLeastOnce    = 1
)

// Options says which broker gets the events.
type Options struct {
	Bus  *event.Bus
	Load event.Loader
	Log  *slog.Logger

	Broker      string // see CheckBroker
	ClientID    string
	TopicPrefix string
	Username    string
	Password    string // never logged
	// ReconnectAfter is the pause between two attempts to reach the broker; 0 = 10 s.
	ReconnectAfter time.Duration
}

// Client publishes to one broker.
type Client struct {
	Options
	broker  *url.URL
	feed    *event.Feed
	waiting *waiting
	up      atomic.Bool
}

// Stats is what the broker was told since the start.
type Stats struct {
	Told      int64 // messages that the broker has
	Dropped   int64 // messages that were given up
	Waiting   int   // messages that the broker has not got yet
	Connected bool
}

// Stats is cheap.
func (c *Client) Stats() Stats {
	c.waiting.mu.Lock()
	defer c.waiting.mu.Unlock()
	stats := c.waiting.stats
	stats.Waiting, stats.Connected = len(c.waiting.packets), c.up.Load()
	return stats
}

// kinds is what brokers are told: everything but the logs of tasks.
var kinds = []farm.ChangeKind{
	farm.ChangeJob, farm.ChangeTask, farm.ChangeWorker, farm.ChangeTag, farm.ChangeLastRendered, farm.ChangeLifecycle,
	farm.ChangeStatus,
}

// CheckBroker says what is wrong with the address of a broker, such as tcp://broker:1883.
func CheckBroker(address string) error {
	_, err := parseBroker(address)
	return err
}

var schemes = []string{"tcp", "mqtt", "ws", "ssl", "tls", "mqtts", "wss"}

func parseBroker(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("the address of the broker cannot be understood") // err would show a password in it
	case u.Host == "":
		return nil, errors.New("the address of the broker has no host; it is such as tcp://broker:1883")
	case !slices.Contains(schemes, u.Scheme):
		return nil, fmt.Errorf("%s is no way to reach a broker; choose one of %s", u.Scheme, strings.Join(schemes, ", "))
	}
	if u.Port() == "" && !strings.HasPrefix(u.Scheme, "ws") {
		port := "1883"
		if u.Scheme == "ssl" || strings.HasSuffix(u.Scheme, "s") {
			port = "8883"
		}
		u.Host += ":" + port
	}
	return u, nil
}

// New makes a Client that is not connected.
func New(opts Options) (*Client, error) {
	broker, err := parseBroker(opts.Broker)
	if err != nil {
		return nil, fmt.Errorf("mqtt: %w", err)
	}
	if strings.ContainsAny(opts.TopicPrefix, "+#\x00") {
		return nil, fmt.Errorf("mqtt: the topic prefix %q holds one of + and #, which stand for other topics", opts.TopicPrefix)
	}
	if opts.ReconnectAfter == 0 {
		opts.ReconnectAfter = reconnectAfter
	}
	c := &Client{Options: opts, broker: broker, waiting: newWaiting(maxWaiting, opts.Log)}
	// What another Manager did, that one tells.
	c.feed = opts.Bus.Attach(opts.Load, opts.Log, func(change farm.Change) bool { return !change.Remote })
	// From now on, so that nothing is missed that happens before Run.
	c.feed.Listen(kinds...)
	return c, nil
}

// Run publishes until ctx ends, and then for a moment what is left.
func (c *Client) Run(ctx context.Context) error {
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	conn, err := autopaho.NewConnection(own, c.config())
	if err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	err = c.collect(ctx, conn)

	c.feed.Listen()
	parting, cancel := context.WithTimeout(own, partingTime)
	defer cancel()
	c.publish(parting, conn, c.feed.Rest(parting))
	c.waiting.emptied(parting)
	stop() // says goodbye to the broker
	<-conn.Done()
	return err
}

func (c *Client) config() autopaho.ClientConfig {
	address := c.broker.Redacted()
	return autopaho.ClientConfig{
		ServerUrls:            []*url.URL{c.broker},
		KeepAlive:             keepAlive,
		Queue:                 c.waiting,
		SessionExpiryInterval: sessionExpiry,
		ConnectUsername:       c.Username,
		ConnectPassword:       []byte(c.Password),
		ReconnectBackoff: func(attempt int) time.Duration {
			if attempt == 0 {
				return 0
			}
			return c.ReconnectAfter
		},
		OnConnectionUp: func(*autopaho.ConnectionManager, *paho.Connack) {
			c.up.Store(true)
			c.Log.Info("connected to the MQTT broker", "broker", address)
		},
		OnConnectionDown: func() bool {
			c.up.Store(false)
			c.Log.Warn("the connection to the MQTT broker is lost", "broker", address)
			return true
		},
		OnConnectError: func(err error) {
			c.Log.Warn("cannot connect to the MQTT broker, will try again", "broker", address, "in", c.ReconnectAfter, "error", c.redact(err))
		},
		ClientConfig: paho.ClientConfig{
			ClientID: c.ClientID,
			OnServerDisconnect: func(d *paho.Disconnect) {
				c.Log.Warn("the MQTT broker ends the connection", "broker", address, "reason_code", d.ReasonCode)
			},
		},
	}
}

// redact is what may be logged of an error: those of the library name the whole address, password included.
func (c *Client) redact(err error) string {
	return strings.ReplaceAll(err.Error(), c.broker.String(), c.broker.Redacted())
}

// collect lets messages wait for the broker.
func (c *Client) collect(ctx context.Context, conn *autopaho.ConnectionManager) error {
	for {
		batch, lost, err := c.feed.Next(ctx)
		if err != nil {
			return err
		}
		if lost {
			c.Log.Warn("events for the MQTT broker were lost")
		}
		c.publish(ctx, conn, batch)
	}
}

func (c *Client) publish(ctx context.Context, conn *autopaho.ConnectionManager, batch []event.Message) {
	for _, m := range batch {
		if m.Local {
			continue
		}
		for _, room := range m.Rooms {
			p := &paho.Publish{QoS: atLeastOnce, Topic: c.TopicPrefix + room, Payload: m.Data}
			if err := conn.PublishViaQueue(ctx, &autopaho.QueuePublish{Publish: p}); err != nil {
				c.Log.Error("cannot publish an event", "topic", p.Topic, "error", err)
			}
		}
	}
}
