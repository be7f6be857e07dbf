// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"flamenco.farm/internal/farm"
)

// Where whoever watches over a Manager asks.
const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

const (
	// checkTime is how long a check may take; one that takes longer has failed.
	checkTime = 2 * time.Second
	// checkFresh is how long a result is used again, so that asking often costs nothing.
	checkFresh = time.Second
)

// Check is one thing that a Manager needs to be of use. What is wrong is told to everybody if it is a *farm.Error.
type Check struct {
	Name string
	Run  func(context.Context) error
}

// drainingCheck is the name of the check that fails when the Manager stops.
const drainingCheck = "stopping"

func (h *handlers) mountHealth(router chi.Router) {
	checks := make([]*checker, len(h.Checks))
	for i, c := range h.Checks {
		checks[i] = &checker{Check: c, log: h.Log}
	}
	router.Get(livePath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n")) // whoever asked is gone
	})
	router.Get(readyPath, func(w http.ResponseWriter, r *http.Request) { answerReady(w, r, checks) })
	if h.Metrics != nil {
		router.Get(metricsPath, h.Metrics.ServeHTTP)
	}
}

// readiness is the answer to whether a Manager is of use now.
type readiness struct {
	Ready  bool          `json:"ready"`
	Checks []checkResult `json:"checks"`
}

type checkResult struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	Message string `json:"message,omitempty"`
}

func answerReady(w http.ResponseWriter, r *http.Request, checks []*checker) {
	results := make([]checkResult, len(checks)+1)
	results[0] = checkResult{Name: drainingCheck, OK: true}
	if stopped(r.Context()) {
		results[0] = checkResult{Name: drainingCheck, Message: "the Manager stops, and takes no new clients"}
	}
	var all sync.WaitGroup
	for i, c := range checks {
		all.Go(func() { results[i+1] = c.result(r.Context()) })
	}
	all.Wait()
	answer, status := readiness{Ready: true, Checks: results}, http.StatusOK
	for _, c := range results {
		if !c.OK {
			answer.Ready, status = false, http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, status, answer)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(answer.text())) // whoever asked is gone
}

func (r readiness) text() string {
	var text strings.Builder
	for _, c := range r.Checks {
		if c.OK {
			fmt.Fprintf(&text, "%s: ok\n", c.Name)
		} else {
			fmt.Fprintf(&text, "%s: %s\n", c.Name, c.Message)
		}
	}
	return text.String()
}

// checker runs a check for all who ask at the same time, and remembers its result for a moment. A check that hangs, as a
// disk that is gone may make it, keeps one goroutine, however often somebody asks.
type checker struct {
	Check
	log *slog.Logger

	mu      sync.Mutex
	running chan struct{} // closed when the run that goes on is over; nil = none does
	at      time.Time
	err     error
}

var errCheckSlow = farm.Errorf(farm.CodeBusy, "no answer within %s", checkTime)

func (c *checker) result(ctx context.Context) checkResult {
	err := c.outcome(ctx)
	result := checkResult{Name: c.Name, OK: err == nil}
	var shown *farm.Error
	switch {
	case err == nil:
	case errors.As(err, &shown):
		result.Message = shown.Message
	case errors.Is(err, context.DeadlineExceeded):
		result.Message = errCheckSlow.Error()
	default:
		result.Message = "it fails; the log of the Manager says why"
	}
	return result
}

func (c *checker) outcome(ctx context.Context) error {
	c.mu.Lock()
	if c.running == nil && time.Since(c.at) < checkFresh {
		defer c.mu.Unlock()
		return c.err
	}
	if c.running == nil {
		c.running = make(chan struct{})
		go c.run(context.WithoutCancel(ctx), c.running)
	}
	running := c.running
	c.mu.Unlock()
	limit := time.NewTimer(checkTime)
	defer limit.Stop()
	select {
	case <-running:
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.err
	case <-limit.C:
		return errCheckSlow
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *checker) run(ctx context.Context, over chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := c.Run(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil && c.err == nil:
		c.log.Warn("the Manager is not ready", "check", c.Name, "error", err)
	case err == nil && c.err != nil:
		c.log.Info("a check of the Manager succeeds again", "check", c.Name)
	}
	c.err, c.at, c.running = err, time.Now(), nil
	close(over)
}
