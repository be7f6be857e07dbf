// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/internal/discover"
	"flamenco.farm/internal/version"
	"flamenco.farm/pkg/client"
)

// defaultManager is where a Manager listens when nobody says otherwise, and none is found.
const defaultManager = "http://localhost:8080"

// userConfig is what flamenco.yaml in the user's configuration folder may hold.
type userConfig struct {
	Manager string `yaml:"manager"`
}

// connect makes the client for the Manager that the user means.
func (g *globalOptions) connect(ctx context.Context) (*client.Client, error) {
	address, err := g.managerAddress(ctx)
	if err != nil {
		return nil, err
	}
	style := newStyle(g.streams.Err, g.getenv)
	trouble := func(reason error, wait time.Duration) {
		if g.json || wait < time.Second {
			return // a short hiccup is no news
		}
		fmt.Fprintf(g.streams.Err, "\r\x1b[K%s\n", style.dim(fmt.Sprintf("%v; trying again in %v", reason, wait.Round(time.Second))))
	}
	if !style.terminal {
		trouble = func(reason error, wait time.Duration) {
			if !g.json && wait >= time.Second {
				fmt.Fprintf(g.streams.Err, "%v; trying again in %v\n", reason, wait.Round(time.Second))
			}
		}
	}
	switched := func(from, to string, reason error) {
		if !g.json {
			fmt.Fprintln(g.streams.Err, style.dim(fmt.Sprintf("%s is left: %v; using %s", from, reason, to)))
		}
	}
	made, err := client.New(address, client.WithUserAgent("Flamenco/"+version.Version+" (command line)"),
		client.WithRetryNotice(trouble), client.WithSwitchNotice(switched))
	if err != nil {
		return nil, usageError{err}
	}
	return made, nil
}

func (g *globalOptions) managerAddress(ctx context.Context) (string, error) {
	if g.manager != "" {
		return g.manager, nil
	}
	if address := g.getenv("FLAMENCO_MANAGER"); address != "" {
		return address, nil
	}
	config, err := loadUserConfig(configFolder(g.getenv))
	if err != nil {
		return "", err
	}
	if config.Manager != "" {
		return config.Manager, nil
	}
	return g.find(ctx)
}

// How long the local network is searched for a Manager: no longer than somebody waits at a terminal, and less if there is
// one on this machine.
const (
	findLimit = 2 * time.Second
	findAlone = 500 * time.Millisecond
)

// findManager searches the local network for a Manager. If none is found it must be the one of this machine.
func findManager(ctx context.Context) (string, error) {
	limited, cancel := context.WithTimeout(ctx, findLimit)
	defer cancel()
	search := discover.Search{Log: slog.New(slog.DiscardHandler), Fallback: defaultManager, FallbackAfter: findAlone}
	address, err := search.Find(limited)
	if err != nil && ctx.Err() == nil {
		return defaultManager, nil
	}
	return address, err
}

// configFolder is the user's configuration folder, "" when there is none. It is os.UserConfigDir for a given environment.
func configFolder(getenv func(string) string) string {
	switch runtime.GOOS {
	case "windows":
		return getenv("AppData")
	case "darwin":
		if home := getenv("HOME"); home != "" {
			return filepath.Join(home, "Library", "Application Support")
		}
		return ""
	}
	if folder := getenv("XDG_CONFIG_HOME"); folder != "" {
		return folder
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".config")
	}
	return ""
}

func loadUserConfig(folder string) (userConfig, error) {
	var config userConfig
	if folder == "" {
		return config, nil
	}
	path := filepath.Join(folder, "flamenco.yaml")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return config, nil
	}
	if err != nil {
		return config, fmt.Errorf("read your configuration: %w", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&config); err != nil && !errors.Is(err, io.EOF) {
		return config, usagef("%s: %w", path, err)
	}
	return config, nil
}
