// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

//go:embed make_scene.py
var makeScene []byte

// farm is the temporary farm: its folder, its programs, and where its Manager listens.
type farm struct {
	options
	folder   string // of all that follows
	project  string // the blend file, and what it uses
	renders  string // what Blender and FFmpeg write
	logs     string
	url      string
	programs []*program // in the order of their start
}

func newFarm(o options) (*farm, error) {
	folder, err := os.MkdirTemp("", "flamenco-demo-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the farm: %w", err)
	}
	f := &farm{
		options: o, folder: folder,
		project: filepath.Join(folder, "project"), renders: filepath.Join(folder, "renders"), logs: filepath.Join(folder, "logs"),
	}
	for _, sub := range []string{f.project, f.renders, f.logs} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, fmt.Errorf("make a folder for the farm: %w", err)
		}
	}
	return f, nil
}

// makeScene has Blender make the blend file, its texture and its library.
func (f *farm) makeScene(ctx context.Context, blender string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sceneLimit)
	defer cancel()
	script := filepath.Join(f.folder, "make_scene.py")
	if err := os.WriteFile(script, makeScene, 0o644); err != nil {
		return "", fmt.Errorf("scene: %w", err)
	}
	maker, err := f.start("blender", f.folder, nil, blender, "-b", "--factory-startup", "--python", script, "--",
		"--folder", f.project, "--frames", strconv.Itoa(f.frames), "--width", strconv.Itoa(f.width), "--height", strconv.Itoa(f.height))
	if err != nil {
		return "", err
	}
	select {
	case <-maker.done:
	case <-ctx.Done():
		return "", maker.failure(fmt.Errorf("making the scene: %w", ctx.Err()))
	}
	if maker.err != nil {
		return "", maker.failure(fmt.Errorf("making the scene: %w", maker.err))
	}
	f.programs = nil // it has ended, as it should
	if _, err := os.Stat(filepath.Join(f.project, "pond.blend")); err != nil {
		return "", maker.failure(errors.New("Blender made no scene"))
	}
	return fmt.Sprintf("%d frames of %dx%d, with a texture and a linked library", f.frames, f.width, f.height), nil
}

// managerConfig is for a farm that nobody else is to find. JSON is YAML: quoting paths so is right on every system.
const managerConfig = `_meta: {version: 3}
manager_name: Flamenco demo
listen: %q
database: flamenco-manager.sqlite
local_manager_storage_path: %q
shared_storage_path: %q
autodiscoverable: false
shaman: {enabled: false}
variables:
  blender: {values: [{platform: all, value: %q}]}
  blenderArgs: {values: [{platform: all, value: "-b -y"}]}
`

func (f *farm) startManager(ctx context.Context, blender string) (string, error) {
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	f.url = "http://" + address
	home := filepath.Join(f.folder, "manager")
	config := fmt.Sprintf(managerConfig, address, filepath.Join(home, "storage"), f.folder, quoted(blender))
	if err := writeHome(home, "flamenco-manager.yaml", config); err != nil {
		return "", err
	}
	manager, err := f.start("flamenco-manager", home, nil, filepath.Join(f.bin, "flamenco-manager"))
	if err != nil {
		return "", err
	}
	c, err := f.connect()
	if err != nil {
		return "", err
	}
	err = f.waitUntil(ctx, "the Manager answers", manager, func(ctx context.Context) (bool, error) {
		_, err := c.Version(ctx)
		return err == nil, nil // until it listens there is nothing to reach
	})
	return f.url + "/app/", err
}

// quoted protects a command with blanks, which is taken apart like a shell would.
func quoted(command string) string {
	if strings.ContainsAny(command, " \t'\"") {
		return `"` + command + `"`
	}
	return command
}

func (f *farm) startWorkers(ctx context.Context) (string, error) {
	var last *program
	for i := range f.workers {
		name := fmt.Sprintf("demo-worker-%d", i+1)
		home := filepath.Join(f.folder, name)
		config := fmt.Sprintf("manager_url: %q\ntask_types: [blender, ffmpeg, file-management, misc]\n", f.url)
		if err := writeHome(home, "flamenco-worker.yaml", config); err != nil {
			return "", err
		}
		env := []string{"FLAMENCO_HOME=" + home, "FLAMENCO_WORKER_NAME=" + name}
		started, err := f.start(name, home, env, filepath.Join(f.bin, "flamenco-worker"))
		if err != nil {
			return "", err
		}
		last = started
	}
	c, err := f.connect()
	if err != nil {
		return "", err
	}
	err = f.waitUntil(ctx, "all Workers are awake", last, func(ctx context.Context) (bool, error) {
		workers, err := client.Collect(c.Workers(ctx, client.List{}))
		awake := 0
		for _, worker := range workers {
			if worker.Status == api.WorkerStatusAwake {
				awake++
			}
		}
		return awake == f.workers, err
	})
	return fmt.Sprintf("%d awake", f.workers), err
}

// waitUntil asks again and again whether something is so. It ends early when a program of the farm does.
func (f *farm) waitUntil(ctx context.Context, what string, blame *program, so func(context.Context) (bool, error)) error {
	ctx, cancel := f.whileRunning(ctx)
	defer cancel()
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	clock := time.NewTicker(50 * time.Millisecond)
	defer clock.Stop()
	for {
		ok, err := so(ctx)
		if failed := context.Cause(ctx); failed != nil {
			return failed
		}
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return blame.failure(fmt.Errorf("waited %v in vain until %s", startLimit, what))
		case <-clock.C:
		}
	}
}

// tidy removes what nobody will want to see again. After a failure, and with -keep, everything stays.
func (f *farm) tidy(failed error) {
	if failed != nil && !errors.Is(failed, errInterrupted) || f.keep {
		fmt.Printf("Everything is kept in %s\n", f.folder)
		return
	}
	kept := map[string]bool{"renders": true, "project": true}
	entries, err := os.ReadDir(f.folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		if !kept[entry.Name()] {
			os.RemoveAll(filepath.Join(f.folder, entry.Name()))
		}
	}
}

func writeHome(home, name, config string) error {
	if err := os.MkdirAll(home, 0o755); err != nil {
		return fmt.Errorf("folder of a program: %w", err)
	}
	if err := os.WriteFile(filepath.Join(home, name), []byte(config), 0o600); err != nil {
		return fmt.Errorf("configuration of a program: %w", err)
	}
	return nil
}

// freeAddress is one that nobody listens at just now.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
