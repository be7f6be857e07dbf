// SPDX-License-Identifier: GPL-3.0-or-later

//go:build !windows && !darwin

package blender

const installedSource = SystemLocation

// Installed has no place to look on this system: there is only $PATH.
func Installed() string { return "" }
