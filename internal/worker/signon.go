// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/version"
)

// signOn begins a session and answers the state that the Manager wants. It asks until the Manager says yes or no: an
// identity is never thrown away because a Manager is in trouble.
func (w *Worker) signOn(ctx context.Context) (farm.WorkerStatus, error) {
	registered := false
	if !w.client.identity().known() {
		if err := w.register(ctx); err != nil {
			return "", err
		}
		registered = true
	}
	pause, session := w.retries(), uuid.NewString()
	for {
		state, err := w.trySignOn(ctx, session)
		if err == nil {
			w.signedOn = true
			return state, nil
		}
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		if errors.Is(err, errForbidden) {
			if registered {
				return "", fmt.Errorf("sign on as the Worker that was registered just now: %w", err)
			}
			w.log.Warn("the Manager does not know this Worker, registering anew", "manager", w.client.managers.all(), "error", err)
			if err := w.register(ctx); err != nil {
				return "", err
			}
			registered = true
			continue
		}
		w.log.Warn("cannot sign on, trying again", "manager", w.client.managers.all(), "error", err)
		if err := pause.Wait(ctx); err != nil {
			return "", err
		}
	}
}

var errForbidden = errors.New("not allowed")

// trySignOn asks for a session, always for the same one until it has begun: a request that was given up may still arrive.
func (w *Worker) trySignOn(ctx context.Context, session string) (farm.WorkerStatus, error) {
	k := call{
		method: http.MethodPost, path: "/worker/sign-on", signOn: true, stored: true, // without the session before
		body: map[string]any{
			"name":                 w.opts.Name,
			"supported_task_types": w.opts.TaskTypes,
			"software_version":     version.Version,
			"can_restart":          w.opts.RestartExitCode != 0,
			"session":              session,
		},
	}
	a, err := w.client.do(ctx, k)
	switch {
	case err != nil:
		return "", err
	case a.forbidden():
		return "", errors.Join(errForbidden, a.problem())
	case a.status != http.StatusOK:
		return "", a.problem()
	}
	state, err := requestedState(a)
	if err != nil {
		return "", err
	}
	session = a.header.Get(headerSession)
	seconds, _ := strconv.ParseFloat(a.header.Get(headerLease), 64) // none, or rubbish: no lease
	lease := time.Duration(seconds * float64(time.Second))
	w.client.begin(session, lease, k, a)
	w.log.Info("signed on", "manager", a.manager, "worker", w.client.identity().ID, "name", w.opts.Name, "status", state,
		"lease", lease, "upstream", session == "")
	return state, nil
}

func requestedState(a answer) (farm.WorkerStatus, error) {
	var change struct {
		Requested farm.WorkerStatus `json:"status_requested"`
	}
	if err := a.decode(&change); err != nil {
		return "", err
	}
	if change.Requested == "" {
		return "", errors.New("the Manager's answer names no status")
	}
	return change.Requested, nil
}

// register makes a new Worker of this one. It asks until the Manager says yes or no.
func (w *Worker) register(ctx context.Context) error {
	secret, pause := newSecret(), w.retries()
	for {
		a, err := w.client.do(ctx, call{
			method: http.MethodPost, path: "/worker/register-worker", open: true,
			body: map[string]any{
				"name":                 w.opts.Name,
				"secret":               secret,
				"platform":             runtime.GOOS,
				"supported_task_types": w.opts.TaskTypes,
			},
		})
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && a.status == http.StatusOK:
			return w.adopt(a, secret)
		case err == nil && !a.later():
			return fmt.Errorf("register: %w", a.problem())
		case err == nil:
			err = a.problem()
		}
		w.log.Warn("cannot register, trying again", "manager", w.client.managers.all(), "error", err)
		if err := pause.Wait(ctx); err != nil {
			return err
		}
	}
}

// adopt takes the identity that the Manager gave.
func (w *Worker) adopt(a answer, secret string) error {
	var registered struct {
		ID string `json:"uuid"`
	}
	if err := a.decode(&registered); err != nil {
		return err
	}
	creds := credentials{ID: registered.ID, Secret: secret}
	if !creds.known() {
		return errors.New("register: the Manager's answer names no Worker")
	}
	if err := creds.save(w.opts.Home); err != nil {
		return err
	}
	w.client.identify(creds)
	w.log.Info("registered", "manager", a.manager, "worker", creds.ID)
	return nil
}

// signOff ends the session. When it fails, the Manager notices by the lease.
func (w *Worker) signOff(ctx context.Context) {
	if !w.signedOn {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*w.timing.signOff)
	defer cancel()
	a, err := w.client.do(ctx, call{method: http.MethodPost, path: "/worker/sign-off", timeout: w.timing.signOff})
	if err == nil && a.status >= 300 {
		err = a.problem()
	}
	if err != nil {
		w.log.Warn("cannot sign off", "error", err)
		return
	}
	w.log.Info("signed off")
}
