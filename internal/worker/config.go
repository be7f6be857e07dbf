// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// ConfigFile is the name of the configuration, in the current directory unless -config says otherwise; Workers may share
// one.
const ConfigFile = "flamenco-worker.yaml"

// defaultManager is tried when no address is configured and nobody answers in the local network.
const defaultManager = "http://localhost:8080"

// defaultTaskTypes is what a Worker runs unless it is told otherwise.
func defaultTaskTypes() []string { return []string{"blender", "ffmpeg", "file-management", "misc"} }

// Config is what flamenco-worker.yaml may hold. Zero values mean: not set.
type Config struct {
	WorkerName      string    `yaml:"worker_name"`
	ManagerURL      addresses `yaml:"manager_url"`
	TaskTypes       []string  `yaml:"task_types"`
	RestartExitCode int       `yaml:"restart_exit_code"`
	OOMScoreAdjust  *int      `yaml:"oom_score_adjust"` // 0 to 1000, Linux only

	StopGrace  time.Duration `yaml:"stop_grace"`
	TaskChecks taskChecks    `yaml:"task_checks"`
}

// taskChecks are the paths that must be there before a task is asked for.
type taskChecks struct {
	Readable []string      `yaml:"readable"`
	Writable []string      `yaml:"writable"`
	Timeout  time.Duration `yaml:"timeout"` // of each
}

// addresses is one address or a list of them, each maybe several with commas between them.
type addresses []string

func (a *addresses) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.SequenceNode {
		return node.Decode((*[]string)(a))
	}
	var one string
	if err := node.Decode(&one); err != nil {
		return err
	}
	*a = nil
	if strings.TrimSpace(one) != "" {
		*a = addresses{one}
	}
	return nil
}

// LoadConfig reads the configuration at path. A file that is missing or empty is a configuration with nothing set.
// Keys that mean nothing to us are answered as unknown: the file may be shared with an older Worker.
func LoadConfig(path string) (config Config, unknown []string, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return Config{}, nil, nil
	}
	if err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration: %w", err)
	}
	if err := yaml.Unmarshal(text, &config); err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	keys := map[string]any{}
	if err := yaml.Unmarshal(text, &keys); err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	known := []string{
		"worker_name", "manager_url", "task_types", "restart_exit_code", "oom_score_adjust", "stop_grace", "task_checks",
	}
	for key := range keys {
		if !slices.Contains(known, key) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	if err := config.check(); err != nil {
		return Config{}, nil, fmt.Errorf("read the configuration %s: %w", path, err)
	}
	return config, unknown, nil
}

func (c Config) check() error {
	if c.RestartExitCode < 0 || c.RestartExitCode > 255 {
		return fmt.Errorf("restart_exit_code: %d is not between 0 and 255", c.RestartExitCode)
	}
	if o := c.OOMScoreAdjust; o != nil && (*o < 0 || *o > 1000) {
		return fmt.Errorf("oom_score_adjust: %d is not between 0 and 1000", *o)
	}
	if c.StopGrace < 0 {
		return fmt.Errorf("stop_grace: %v is negative", c.StopGrace)
	}
	if c.TaskChecks.Timeout < 0 {
		return fmt.Errorf("task_checks.timeout: %v is negative", c.TaskChecks.Timeout)
	}
	if _, err := managerAddresses(c.ManagerURL); err != nil {
		return err
	}
	for _, path := range slices.Concat(c.TaskChecks.Readable, c.TaskChecks.Writable) {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("task_checks: %q is not an absolute path", path)
		}
	}
	return nil
}

// maxManagers is how many addresses a list may have.
const maxManagers = 16

// split takes apart what people write into one line: addresses with commas between them.
func (a addresses) split() addresses {
	var all addresses
	for _, text := range a {
		all = append(all, strings.Split(text, ",")...)
	}
	return all
}

// managerAddresses makes base addresses of what people write.
func managerAddresses(given []string) ([]string, error) {
	var all []string
	for _, text := range addresses(given).split() {
		address, err := managerAddress(text)
		if err != nil {
			return nil, err
		}
		if slices.Contains(all, address) {
			return nil, fmt.Errorf("manager_url: %s is there twice", address)
		}
		all = append(all, address)
	}
	if len(all) > maxManagers {
		return nil, fmt.Errorf("manager_url: %d addresses are too many, %d may be there", len(all), maxManagers)
	}
	return all, nil
}

// managerAddress makes a base address of what people write: the scheme may be missing, a slash may follow.
func managerAddress(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return "", errors.New("manager_url: an address in the list is empty")
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", fmt.Errorf("manager_url: %q is not the address of a Manager, such as http://manager:8080", text)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("manager_url: the address of a Manager is like http://manager:8080; the one at %s has a user, ? or # in it", u.Host)
	}
	return strings.TrimRight(u.Scheme+"://"+u.Host+u.Path, "/"), nil
}

// homeFolder is where the Worker keeps its identity and its outbox: each Worker of a machine needs its own.
func homeFolder(getenv func(string) string) (string, error) {
	if home := getenv("FLAMENCO_HOME"); home != "" {
		return filepath.Abs(home)
	}
	var base, name string
	switch runtime.GOOS {
	case "windows":
		base, name = getenv("LOCALAPPDATA"), filepath.Join("Blender Foundation", "Flamenco")
	case "darwin":
		base, name = under(getenv("HOME"), "Library", "Application Support"), "Flamenco"
	default:
		base, name = getenv("XDG_DATA_HOME"), "flamenco"
		if base == "" {
			base = under(getenv("HOME"), ".local", "share")
		}
	}
	if base == "" {
		return "", errors.New("there is no home folder for the Worker: set FLAMENCO_HOME")
	}
	return filepath.Abs(filepath.Join(base, name))
}

func under(base string, parts ...string) string {
	if base == "" {
		return ""
	}
	return filepath.Join(append([]string{base}, parts...)...)
}

// workerName is the configured name, or FLAMENCO_WORKER_NAME, or the name of the machine.
func workerName(config Config, getenv func(string) string) (string, error) {
	if config.WorkerName != "" {
		return config.WorkerName, nil
	}
	if name := getenv("FLAMENCO_WORKER_NAME"); name != "" {
		return name, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find a name for the Worker: %w", err)
	}
	return name, nil
}
