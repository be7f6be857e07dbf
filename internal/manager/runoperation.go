// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"flamenco.farm/internal/event"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/operation"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/version"
	"flamenco.farm/pkg/client"
)

// runOperation runs an operation to its end: by the Manager that runs, or here when there is none.
func (a *admin) runOperation(ctx context.Context, kind string, params map[string]any) error {
	if err := databaseIsThere(a.config.Database); err != nil {
		return err
	}
	if a.managerAnswers(ctx) {
		return a.runByManager(ctx, kind, params)
	}
	bus := &event.Bus{}
	db, err := store.Open(ctx, store.Options{
		Database: a.config.Database, Durability: store.Durability(a.config.Durability), Log: a.log, OnCommit: bus.Publish,
	})
	if errors.Is(err, store.ErrInUse) {
		return a.runByManager(ctx, kind, params)
	}
	if err != nil {
		return err
	}
	return errors.Join(a.asManager(ctx, db, bus, func(operations *operation.Service) error {
		return a.runHere(ctx, operations, kind, params)
	}), db.Close())
}

// asManager lets this process be one of the Managers of the farm while do runs operations: others leave alone what it runs.
func (a *admin) asManager(ctx context.Context, db *store.Store, bus *event.Bus, do func(*operation.Service) error) error {
	keeper := newKeeper(db, bus, a.log)
	if err := keeper.Register(ctx); err != nil {
		return err
	}
	keeping, stop := context.WithCancel(ctx)
	kept := make(chan error, 1)
	go func() { kept <- unlessStopped(keeping, keeper.Run(keeping)) }()
	operations, closeLogs, err := newOperations(a.config, a.executable, db, bus, keeper, keeper.ID(), a.log)
	if err == nil {
		err = errors.Join(do(operations), closeLogs())
	}
	stop()
	return errors.Join(err, <-kept, keeper.Leave(context.WithoutCancel(ctx)))
}

// answersWithin is how long a Manager on this machine may take to say that it is there.
const answersWithin = 3 * time.Second

// managerAnswers reports whether a Manager of this configuration runs here, where its database does not tell.
func (a *admin) managerAnswers(ctx context.Context) bool {
	address, err := ownAddress(a.config.Listen)
	if err != nil || !store.IsPostgres(a.config.Database) {
		return false
	}
	c, err := client.New(address, client.WithUserAgent("Flamenco/"+version.Version+" (flamenco-manager)"))
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	_, err = c.Version(ctx)
	return err == nil
}

// runHere runs an operation in a child of this process, which has the database for itself.
func (a *admin) runHere(ctx context.Context, operations *operation.Service, kind string, params map[string]any) error {
	text, err := json.Marshal(params)
	if err != nil {
		return err
	}
	if params == nil {
		text = nil
	}
	started, err := operations.Start(ctx, kind, text, "user")
	if err != nil {
		return err
	}
	following, stop := context.WithCancel(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		p := progressLines{a: a}
		for revision := started.Revision; ; {
			now, err := operations.WaitChange(following, started.ID, revision)
			if err != nil {
				return
			}
			p.show(now.Activity, now.Done, now.Total)
			revision = now.Revision
		}
	}()
	o, err := operations.RunOne(ctx, started.ID)
	stop()
	<-followed
	if err != nil {
		return fmt.Errorf("stopped; it goes on when the Manager starts: %w", err)
	}
	return a.told(string(o.Status), o.Activity, o.Done, o.Total)
}

// runByManager has an operation run by the Manager that has the database open, and follows it.
func (a *admin) runByManager(ctx context.Context, kind string, params map[string]any) error {
	c, token, err := a.ownManager()
	if err != nil {
		return err
	}
	started, err := c.StartOperation(ctx, token, kind, params)
	if err != nil {
		return err
	}
	return a.follow(ctx, c, started.ID)
}

// follow tells what an operation of the Manager does, until its end.
func (a *admin) follow(ctx context.Context, c *client.Client, id string) error {
	p := progressLines{a: a}
	for o, err := range c.WatchOperation(ctx, id) {
		if err != nil {
			return fmt.Errorf("the Manager goes on with operation %s, but it cannot be followed: %w", id, err)
		}
		if farm.OperationStatus(o.Status).Ended() {
			return a.told(string(o.Status), o.Activity, o.Done, o.Total)
		}
		p.show(o.Activity, o.Done, o.Total)
	}
	return nil
}

// ownManager is the Manager that runs with this configuration, and what it takes to command it.
func (a *admin) ownManager() (c *client.Client, token string, err error) {
	address, err := ownAddress(a.config.Listen)
	if err != nil {
		return nil, "", err
	}
	if token, err = readAdminToken(a.config.LocalStorage); err != nil {
		return nil, "", err
	}
	c, err = client.New(address, client.WithUserAgent("Flamenco/"+version.Version+" (flamenco-manager)"))
	return c, token, err
}

// told tells how an operation ended; one that was not completed is an error.
func (a *admin) told(status, activity string, done, total int64) error {
	if farm.OperationStatus(status) != farm.OperationCompleted {
		return fmt.Errorf("the operation is %s: %s", status, activity)
	}
	p := progressLines{a: a}
	p.show(activity, done, total)
	fmt.Fprintln(a.out, "Done.")
	return nil
}

// progressLines prints what an operation does, a line each time it says something new.
type progressLines struct {
	a    *admin
	last string
}

func (p *progressLines) show(activity string, done, total int64) {
	line := activity
	if total > 0 {
		line = fmt.Sprintf("%s: %d of %d", activity, done, total)
	}
	if line != "" && line != p.last {
		fmt.Fprintln(p.a.out, line)
	}
	p.last = line
}

// ownAddress is where the Manager on this machine answers that listens on an address.
func ownAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	if port == "0" {
		return "", errors.New("listen names port 0, so nobody knows where the Manager answers; stop it first")
	}
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
