// SPDX-License-Identifier: GPL-3.0-or-later

package discover

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"
	"time"

	"github.com/koron/go-ssdp"
)

// How often the networks of this machine are looked at, and how often the advertisements are made anew: well within
// their age, so that a lost one does not matter.
const (
	lookEvery  = time.Minute
	renewEvery = 15 * time.Minute
)

// Advertiser tells the local network where a Manager is. Make it with its fields.
type Advertiser struct {
	Addr    net.Addr // where the Manager listens
	Version string
	Log     *slog.Logger

	open    []*ssdp.Advertiser // one per URL
	urls    []string
	renewed time.Time
	failing bool
}

// Run advertises until ctx ends, and then says goodbye. A Manager that only this machine can reach is not advertised.
func (a *Advertiser) Run(ctx context.Context) error {
	clock := time.NewTicker(lookEvery)
	defer clock.Stop()
	defer a.close()
	for {
		a.look(time.Now())
		select {
		case <-clock.C:
		case <-ctx.Done():
			a.bye()
			return context.Cause(ctx)
		}
	}
}

// look makes the advertisements anew if the addresses have changed or it is time to.
func (a *Advertiser) look(now time.Time) {
	urls := slices.DeleteFunc(URLs(a.Addr), isLoopback)
	changed := !slices.Equal(urls, a.urls)
	if !changed && !a.failing && now.Sub(a.renewed) < renewEvery {
		return
	}
	if changed {
		a.bye()
	}
	a.close()
	a.urls, a.renewed = urls, now
	if err := a.advertise(); err != nil {
		a.close()
		if !a.failing {
			a.Log.Warn("cannot advertise the Manager in the local network; Workers need its address in manager_url", "error", err)
		}
		a.failing = true
		return
	}
	a.failing = false
	if changed && len(urls) > 0 {
		a.Log.Info("Workers in the local network can find this Manager by themselves", "addresses", urls)
	}
}

func (a *Advertiser) advertise() error {
	for _, u := range a.urls {
		one, err := ssdp.Advertise(ServiceType, USN, u+DescriptionPath, runtime.GOOS+" UPnP/1.0 Flamenco/"+a.Version, int(maxAge/time.Second))
		if err != nil {
			return err
		}
		a.open = append(a.open, one)
		if err := one.Alive(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Advertiser) bye() {
	for _, one := range a.open {
		if err := one.Bye(); err != nil {
			a.Log.Debug("cannot take back the advertisement of the Manager", "error", err)
		}
	}
}

func (a *Advertiser) close() {
	for _, one := range a.open {
		_ = one.Close() // it is open
	}
	a.open = nil
}

func isLoopback(address string) bool {
	u, err := url.Parse(address)
	return err != nil || net.ParseIP(u.Hostname()).IsLoopback()
}
