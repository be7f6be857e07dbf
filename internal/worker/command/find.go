// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"flamenco.farm/internal/farm"
)

// FindBlender finds a Blender that is given without a folder: in PATH, then, on Windows, as the program that opens
// .blend files. With a folder it is taken as it is.
func FindBlender(exe string) (string, error) {
	if filepath.Base(exe) != exe {
		return exe, nil
	}
	if path, err := exec.LookPath(exe); err == nil {
		return path, nil
	}
	if path := associatedBlender(); path != "" {
		return path, nil
	}
	return "", farm.Errorf(farm.CodeNotFound, "Blender executable %q not found in PATH", exe)
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
		return "", farm.Errorf(farm.CodeNotFound, "FFmpeg executable %q found neither in the tools folder beside the Worker nor in PATH", exe)
	}
	return path, nil
}
