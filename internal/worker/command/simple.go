// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Echo writes a message into the log.
type Echo struct{ Message string }

func decodeEcho(p *parameters) Echo { return Echo{Message: p.anyText("message")} }

// Run logs the message.
func (c Echo) Run(_ context.Context, env Env) error {
	env.Log(fmt.Sprintf("echo: %q", c.Message))
	return nil
}

// Sleep does nothing for a while.
type Sleep struct{ Duration time.Duration }

// maxSleep keeps a duration in what time.Duration holds; nobody waits a hundred years.
const maxSleep = 100 * 365 * 24 * 3600

func decodeSleep(p *parameters) Sleep {
	seconds := p.number("duration_in_seconds")
	if seconds < 0 || seconds > maxSleep {
		p.fail("duration_in_seconds", "must be from 0 to %d, not %v", maxSleep, seconds)
		return Sleep{}
	}
	return Sleep{Duration: time.Duration(math.Trunc(seconds)) * time.Second}
}

// Run waits.
func (c Sleep) Run(ctx context.Context, env Env) error {
	timer := time.NewTimer(c.Duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		env.Log(fmt.Sprintf("slept %v", c.Duration))
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
