// SPDX-License-Identifier: GPL-3.0-or-later

// Package setup owns the questions of the setup assistant: is a folder good for the files of jobs, where is Blender, and
// what the answers mean for the configuration. It must not know how the configuration is kept, nor HTTP.
package setup

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"flamenco.farm/internal/blender"
	"flamenco.farm/internal/farm"
)

// Options is what an Assistant is built on. All fields are needed.
type Options struct {
	Base    string // relative paths are below this folder
	Install string // the folder of the Manager's program
	// MayRun says whether a program that somebody named may be started on the Manager's machine.
	MayRun func(program string) bool
	// Save keeps the shared storage and the value of the variable blender by platform.
	Save func(sharedStorage string, blender map[string]string) error
}

// Assistant answers the setup assistant. It may be used from many goroutines.
type Assistant struct {
	Options
	turn chan struct{} // one program is tried at a time
}

// New makes an Assistant.
func New(opts Options) *Assistant {
	return &Assistant{Options: opts, turn: make(chan struct{}, 1)}
}

// FindBlender tries the programs that are likely Blender, the likeliest first.
func (a *Assistant) FindBlender(ctx context.Context) ([]blender.Found, error) {
	all := blender.Candidates()
	for i := range all {
		var err error
		if all[i], err = a.try(ctx, all[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// CheckBlender tries the program that is meant by a path, a folder or a name; no input is whatever Blender there is. A
// program that may not be started is an error of farm.CodeForbidden, and is not even looked for.
func (a *Assistant) CheckBlender(ctx context.Context, input string) (blender.Found, error) {
	if strings.TrimSpace(input) != "" && !a.MayRun(input) {
		return blender.Found{}, farm.Errorf(farm.CodeForbidden, "the Manager is set up, and starts no other programs than the variable blender names; "+
			"to try another one, start it with -setup-assistant")
	}
	return a.try(ctx, blender.Resolve(input))
}

func (a *Assistant) try(ctx context.Context, found blender.Found) (blender.Found, error) {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return found, ctx.Err()
	}
	defer func() { <-a.turn }()
	return blender.Try(ctx, found), ctx.Err()
}

// Finish keeps the answers. What is missing or does not work is an error of farm.CodeInvalid.
func (a *Assistant) Finish(sharedStorage string, chosen blender.Found) error {
	folder := a.CheckFolder(sharedStorage)
	if !folder.Usable {
		return farm.Errorf(farm.CodeInvalid, "storageLocation: %s", folder.Cause)
	}
	value, err := command(chosen)
	if err != nil {
		return farm.Errorf(farm.CodeInvalid, "blenderExecutable: %v", err)
	}
	return a.Save(folder.Path, perPlatform(value))
}

// command is what the variable blender becomes on this platform.
func command(chosen blender.Found) (string, error) {
	if !chosen.Usable {
		return "", fmt.Errorf("%q cannot be used: %s", chosen.Path, cmp.Or(chosen.Cause, "choose a Blender that is found to be usable"))
	}
	switch chosen.Source {
	case blender.Default, blender.FileAssociation:
		return anyBlender, nil // a Worker finds either by this name
	case blender.OnPath:
		if chosen.Input == "" {
			return anyBlender, nil
		}
		return chosen.Input, nil
	}
	if !filepath.IsAbs(chosen.Path) {
		return "", fmt.Errorf("path: %q is not a whole path", chosen.Path)
	}
	if info, err := os.Stat(chosen.Path); err != nil || info.IsDir() {
		return "", fmt.Errorf("path: there is no file %q", chosen.Path)
	}
	return filepath.Clean(chosen.Path), nil
}

// anyBlender is the name by which each Worker looks for itself.
const anyBlender = "blender"

// perPlatform is a value for every platform that Workers may have. The path of this machine means nothing to those of
// another kind.
func perPlatform(value string) map[string]string {
	values := make(map[string]string)
	for _, platform := range []string{"linux", "windows", "darwin"} {
		values[platform] = value
		if filepath.IsAbs(value) {
			values[platform] = anyBlender
		}
	}
	values[runtime.GOOS] = value
	return values
}
