// SPDX-License-Identifier: GPL-3.0-or-later

// Package blender owns where Blender is on this machine, and whether a program is Blender. It must not know who asks, nor
// whether they may.
package blender

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Source says how a Blender was found.
type Source string

// The sources.
const (
	FileAssociation Source = "file_association" // it opens .blend files
	OnPath          Source = "path_envvar"      // its name is found in $PATH
	SystemLocation  Source = "system_location"  // it is where the system has its programs
	InputPath       Source = "input_path"       // that very path was given
	Default         Source = "default"          // each Worker looks for itself
)

// Found is a program that may be Blender.
type Found struct {
	Input  string // what was asked for, "" = any Blender
	Path   string // the program
	Source Source
	Usable bool
	Cause  string // the version of Blender, or why it cannot be used
}

// Candidates are the programs that are likely Blender, without trying them: the one of the system, then that of $PATH.
func Candidates() []Found {
	var all []Found
	if path := Installed(); path != "" {
		all = append(all, Found{Path: path, Source: installedSource})
	}
	if path, err := exec.LookPath("blender"); err == nil {
		all = append(all, Found{Input: "blender", Path: path, Source: OnPath})
	}
	return all
}

// Resolve finds the program that is meant by a path, a folder or a name to be found in $PATH, without trying it. No input
// is any Blender. The answer has a cause when there is no such program.
func Resolve(input string) Found {
	found := Found{Input: input, Source: InputPath}
	wanted := strings.Trim(strings.TrimSpace(input), `"`) // as file managers copy a path
	if wanted == "" {
		if all := Candidates(); len(all) > 0 {
			all[0].Input = input
			return all[0]
		}
		found.Source, found.Cause = Default, "no Blender was found on this machine"
		return found
	}
	if filepath.Base(wanted) == wanted && !isFolder(wanted) {
		found.Source, found.Path = OnPath, wanted
		path, err := exec.LookPath(wanted)
		if err != nil {
			found.Cause = fmt.Sprintf("there is no program %q in $PATH", wanted)
			return found
		}
		found.Path = path
		return found
	}
	path, err := filepath.Abs(wanted)
	if err != nil {
		found.Path, found.Cause = wanted, err.Error()
		return found
	}
	if isFolder(path) {
		path = inside(path)
	}
	found.Path = path
	if _, err := exec.LookPath(path); err != nil {
		found.Cause = "it cannot be run: " + reason(err)
	}
	return found
}

// inside is the Blender of a folder.
func inside(folder string) string {
	switch {
	case runtime.GOOS == "windows":
		return filepath.Join(folder, "blender.exe")
	case runtime.GOOS == "darwin" && strings.EqualFold(filepath.Ext(folder), ".app"):
		return filepath.Join(folder, "Contents", "MacOS", "Blender")
	}
	return filepath.Join(folder, "blender")
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func reason(err error) string {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, os.ErrPermission):
		return "it is not a program, or not for this user"
	}
	return err.Error()
}

// Try starts a program that was found, and says whether it is Blender and which one.
func Try(ctx context.Context, found Found) Found {
	if found.Cause != "" {
		return found
	}
	version, err := versionOf(ctx, found.Path)
	if err != nil {
		found.Cause = err.Error()
		return found
	}
	found.Usable, found.Cause = true, version
	return found
}
