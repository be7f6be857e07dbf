// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

const installedWhere = "neither in PATH nor as the program that opens .blend files"

// installedBlender is the program that opens .blend files, or "".
func installedBlender(string) string {
	kind := classValue(`.blend`)
	if kind == "" {
		return ""
	}
	words, err := windows.DecomposeCommandLine(classValue(kind + `\shell\open\command`))
	if err != nil || len(words) == 0 {
		return ""
	}
	exe := words[0]
	// The launcher exists to hide the console, and ends before Blender does.
	if strings.EqualFold(filepath.Base(exe), "blender-launcher.exe") {
		exe = filepath.Join(filepath.Dir(exe), "blender.exe")
	}
	if _, err := os.Stat(exe); err != nil {
		return ""
	}
	return exe
}

// classValue is the default value of a key below HKEY_CLASSES_ROOT, or "".
func classValue(path string) string {
	key, err := registry.OpenKey(registry.CLASSES_ROOT, path, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	value, _, err := key.GetStringValue("")
	if err != nil {
		return ""
	}
	return value
}
