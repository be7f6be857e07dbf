// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !linux

package jobtype

import "time"

// limitProcess adds nothing here: the engine's own limits and the Manager's clock apply.
func limitProcess(time.Duration, int64) error { return nil }
