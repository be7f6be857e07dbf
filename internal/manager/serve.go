// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"flamenco.farm/internal/discover"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/version"
)

const (
	// stopTime is how long requests may take to finish once nobody can connect any more.
	stopTime = 30 * time.Second
	// patience is after which time the log says what the Manager still waits for.
	patience = 2 * time.Second
)

// life is how a Manager ends, in steps: it is not ready any more and lets go of those who wait; after the shutdown delay
// its clients of events are sent away and nobody can connect; when the last request is answered its parts end.
type life struct {
	stopping context.Context // ends with the first step
	stop     context.CancelFunc
}

func newLife() *life {
	l := &life{}
	l.stopping, l.stop = context.WithCancel(context.Background())
	return l
}

// isStopping is whether the Manager is on its way out.
func (l *life) isStopping() bool { return l.stopping.Err() != nil }

// runParts runs the server, the events and the other parts until ctx ends or one of them fails. What started does happens
// once the address is ours: a Manager that cannot start leaves nothing to one that runs.
func (m *Manager) runParts(ctx context.Context, l *life, handler http.Handler, events *events, started func(net.Addr) error, parts ...func(context.Context) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", m.opts.Config.Listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", m.opts.Config.Listen, err)
	}
	if err := started(listener.Addr()); err != nil {
		return errors.Join(err, listener.Close())
	}
	group, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, l.stop)()
	defer context.AfterFunc(failed, l.stop)()
	working, finish := context.WithCancel(failed)
	telling, leave := context.WithCancel(working)
	defer finish()
	defer leave()
	for _, run := range parts {
		group.Go(func() error { return unlessStopped(working, run(working)) })
	}
	group.Go(func() error { return unlessStopped(telling, events.run(telling)) })
	if m.opts.Config.Autodiscoverable {
		advertiser := &discover.Advertiser{Addr: listener.Addr(), Version: version.Version, Log: m.opts.Log}
		group.Go(func() error { return unlessStopped(l.stopping, advertiser.Run(l.stopping)) })
	}
	server := m.newServer(working, l, handler)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving requests: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		defer finish()
		<-l.stopping.Done()
		m.lingers(failed)
		leave() // before the server: clients that poll hear the Manager's last word over it
		<-events.told
		return m.shutDown(server)
	})
	m.announce(listener.Addr())
	return group.Wait()
}

func (m *Manager) newServer(ctx context.Context, l *life, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext: func(net.Listener) context.Context {
			return httpapi.WithStop(context.WithoutCancel(ctx), l.stopping)
		},
		ErrorLog: slog.NewLogLogger(m.opts.Log.Handler(), slog.LevelDebug),
	}
}

// lingers goes on to answer for the shutdown delay, so that a balancer sees that the Manager is not ready before its port
// closes. A Manager that has failed does not.
func (m *Manager) lingers(failed context.Context) {
	delay := m.opts.Config.ShutdownDelay
	if delay == 0 || failed.Err() != nil {
		return
	}
	m.opts.Log.Info("stopping; requests are answered for a while longer", "delay", delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-failed.Done():
	}
}

// shutDown closes the port and waits for the requests that are being answered.
func (m *Manager) shutDown(server *http.Server) error {
	waiting := time.AfterFunc(patience, func() {
		m.opts.Log.Info("waiting for requests that are being answered; stop once more to end at once", "limit", stopTime)
	})
	defer waiting.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		m.opts.Log.Warn("some requests did not finish in time", "error", err)
		return server.Close()
	}
	return nil
}
