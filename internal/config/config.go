// SPDX-License-Identifier: GPL-3.0-or-later

// Package config owns the configuration of the Manager: its settings, their defaults and limits, the file
// flamenco-manager.yaml, the environment that overrides it, and errors that name file, line and setting.
// It must not know what the settings do.
package config

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"
	_ "time/tzdata" // systems without a list of time zones have it here

	"flamenco.farm/internal/variables"
)

// FileName is the name of the configuration file in the working directory.
const FileName = "flamenco-manager.yaml"

// EnvPrefix begins the names of environment variables that override a setting.
const EnvPrefix = "FLAMENCO_MANAGER_"

// fileVersion is the only version of the file that is understood.
const fileVersion = "3"

// Config is every setting of the Manager. Load makes its paths absolute.
type Config struct {
	ManagerName            string
	Database               string
	Durability             Durability
	DatabaseCheckPeriod    time.Duration // 0 = never
	Listen                 string
	Autodiscoverable       bool
	LocalStorage           string
	SharedStorage          string // "" = not chosen yet
	Registration           Registration
	TaskTimeout            time.Duration
	WorkerTimeout          time.Duration
	TimeoutGrace           time.Duration
	TaskRequestHold        time.Duration
	ShutdownDelay          time.Duration // 0 = none
	BlocklistThreshold     int
	TaskFailAfterSoftFails int
	JobCompiler            JobCompiler
	Files                  Files
	S3                     S3
	Retention              Retention
	Shaman                 Shaman
	TaskLogs               TaskLogs
	MQTT                   MQTTClient
	TimeZone               string // IANA name, "" = that of this machine
	Variables              map[string]variables.Definition

	// FirstRun is whether somebody still has to choose where the files of jobs are.
	FirstRun bool
}

// Retention says how long things are kept; 0 = for ever.
type Retention struct {
	Jobs time.Duration // that ended, since they last changed
}

// JobCompiler limits what the script of a job type may use.
type JobCompiler struct {
	TimeLimit   time.Duration
	MemoryLimit Size
	MaxTasks    int
}

// Shaman is about the uploaded files of jobs.
type Shaman struct {
	Enabled bool
	Period  time.Duration // between collections of garbage, 0 = never
	MaxAge  time.Duration // of files that no job uses
}

// MQTTClient says to which broker events are published.
type MQTTClient struct {
	Enabled     bool
	Broker      string // its address
	ClientID    string
	TopicPrefix string
	Username    string
	Password    string
}

// TaskLogs limits what the logs of tasks take of the disk.
type TaskLogs struct {
	MaxSize   Size
	Retention time.Duration // 0 = as long as the job
}

// Durability says what a power cut may take.
type Durability string

// With full every acknowledged change survives a power cut; with normal the last second may be lost, and writes are faster.
const (
	DurabilityFull   Durability = "full"
	DurabilityNormal Durability = "normal"
)

// Registration says whether new Workers may join.
type Registration string

// Workers that are known already may go on either way.
const (
	RegistrationOpen   Registration = "open"
	RegistrationClosed Registration = "closed"
)

// Default is the configuration without file and environment; its paths are relative.
func Default() Config {
	return Config{
		ManagerName:            "Flamenco",
		Database:               "flamenco-manager.sqlite",
		Durability:             DurabilityFull,
		DatabaseCheckPeriod:    time.Hour,
		Listen:                 ":8080",
		Autodiscoverable:       true,
		LocalStorage:           "./flamenco-manager-storage",
		Registration:           RegistrationOpen,
		TaskTimeout:            10 * time.Minute,
		WorkerTimeout:          time.Minute,
		TimeoutGrace:           5 * time.Minute,
		TaskRequestHold:        45 * time.Second,
		BlocklistThreshold:     3,
		TaskFailAfterSoftFails: 3,
		JobCompiler:            JobCompiler{TimeLimit: 10 * time.Second, MemoryLimit: 256 * mebibyte, MaxTasks: 200_000},
		Files:                  FilesLocal,
		S3:                     S3{Region: "us-east-1"},
		Shaman:                 Shaman{Enabled: runtime.GOOS != "windows", Period: 24 * time.Hour, MaxAge: 31 * 24 * time.Hour},
		MQTT:                   MQTTClient{ClientID: "flamenco", TopicPrefix: "flamenco"},
		TaskLogs:               TaskLogs{MaxSize: 100 * mebibyte},
		Variables: map[string]variables.Definition{
			"blender":     {Values: []variables.Value{{Platforms: []string{variables.AnyPlatform}, Audience: variables.ForAll, Value: "blender"}}},
			"blenderArgs": {Values: []variables.Value{{Platforms: []string{variables.AnyPlatform}, Audience: variables.ForAll, Value: "-b -y"}}},
		},
	}
}

// Zone is the time zone of the farm, which TimeZone names.
func (c Config) Zone() (*time.Location, error) {
	if c.TimeZone == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return nil, fmt.Errorf("time_zone: %w", err)
	}
	return zone, nil
}

// Sources is where a configuration comes from.
type Sources struct {
	Path          string   // of the file, which may be missing
	Env           []string // as os.Environ gives it
	ExecutableDir string   // a relative local storage path is below it
	SetUp         bool     // the first run, whatever the file says: somebody asked for the setup assistant
}

// Load reads the file and the environment. What is unknown or wrong in the file is an error that names file, line and setting, all of them at once.
func Load(src Sources, log *slog.Logger) (Config, error) {
	r, err := src.read(log)
	return r.full, err
}

func (c *Config) resolvePaths(fileDir, executableDir string) {
	if !isAddress(c.Database) {
		c.Database = under(fileDir, c.Database)
	}
	c.LocalStorage = under(executableDir, c.LocalStorage)
	if c.SharedStorage != "" {
		c.SharedStorage = under(fileDir, c.SharedStorage)
	}
}

func under(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}
