// SPDX-License-Identifier: GPL-3.0-or-later

package blender

import (
	"os"
	"path/filepath"
)

const installedSource = SystemLocation

// Installed is the Blender among the applications of the machine or of the user, or "".
func Installed() string {
	home, _ := os.UserHomeDir() // without one there is one place less
	for _, folder := range []string{"/", home} {
		path := filepath.Join(folder, "Applications/Blender.app/Contents/MacOS/Blender")
		if info, err := os.Stat(path); folder != "" && err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}
