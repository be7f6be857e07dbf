// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"os"
	"path/filepath"
	"strings"
)

const installedWhere = "neither in PATH nor in Applications"

// installedBlender is the Blender in the applications of the machine or of the user, or "".
func installedBlender(exe string) string {
	if !strings.EqualFold(exe, "blender") {
		return ""
	}
	const below = "Applications/Blender.app/Contents/MacOS/Blender"
	home, _ := os.UserHomeDir() // without one there is one place less
	for _, folder := range []string{"/", home} {
		path := filepath.Join(folder, below)
		if info, err := os.Stat(path); folder != "" && err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
