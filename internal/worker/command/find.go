// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"flamenco.farm/internal/blender"
	"flamenco.farm/internal/farm"
)

// FindBlender finds a Blender that is given without a folder: in PATH, then where this system installs it. With a folder
// it must be there.
func FindBlender(exe string) (string, error) {
	if filepath.Base(exe) != exe {
		if _, err := os.Stat(exe); errors.Is(err, fs.ErrNotExist) {
			return "", farm.Errorf(farm.CodeNotFound, "Blender is not at %s on this Worker: install it there, or change the variable {blender} "+
				"of the Manager to a path that is right for Workers on %s", exe, runtime.GOOS)
		}
		return exe, nil
	}
	if path, err := exec.LookPath(exe); err == nil {
		return path, nil
	}
	if strings.EqualFold(strings.TrimSuffix(exe, ".exe"), "blender") {
		if path := blender.Installed(); path != "" {
			return path, nil
		}
	}
	return "", farm.Errorf(farm.CodeNotFound, "no Blender named %q was found on this Worker, neither in PATH nor where %s has it: install it, put its "+
		"folder into the PATH of the Worker, or give its whole path in the variable {blender} of the Manager", exe, runtime.GOOS)
}

// FindFFmpeg finds the FFmpeg that is given by its plain name: one that came with the Worker, in the folder "tools" of
// the given folder, goes before PATH. Anything else is taken as it is. If folder is "", it is that of the running
// program.
func FindFFmpeg(exe, folder string) (string, error) {
	if exe != "ffmpeg" && exe != "ffmpeg.exe" {
		return exe, nil
	}
	if folder == "" {
		if own, err := os.Executable(); err == nil {
			folder = filepath.Dir(own)
		}
	}
	suffix := ""
	if runtime.GOOS == "windows" {
		suffix = ".exe"
	}
	for _, name := range []string{"ffmpeg-" + runtime.GOOS + "-" + runtime.GOARCH, "ffmpeg-" + runtime.GOOS, "ffmpeg"} {
		path := filepath.Join(folder, "tools", name+suffix)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	path, err := exec.LookPath(exe)
	if err != nil {
		return "", farm.Errorf(farm.CodeNotFound, "no FFmpeg was found on this Worker, neither in %s nor in PATH: install it, or put %s there",
			filepath.Join(folder, "tools"), "ffmpeg-"+runtime.GOOS+"-"+runtime.GOARCH+suffix)
	}
	return path, nil
}
