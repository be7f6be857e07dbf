// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !windows && !darwin

package command

const installedWhere = "not in PATH"

// installedBlender has no place to look on this system.
func installedBlender(string) string { return "" }
