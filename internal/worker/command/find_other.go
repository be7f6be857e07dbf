// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !windows

package command

// associatedBlender exists on Windows only.
func associatedBlender() string { return "" }
