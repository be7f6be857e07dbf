// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"flamenco.farm/internal/service"
	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
	"flamenco.farm/internal/worker/command"
)

// Exit codes of the program; a restart has the configured one.
const (
	exitOK          = 0
	exitFailure     = 1 // also after a signal
	exitUsage       = 2
	exitHardStopped = 254
)

// hardLimit is how long the Worker may take to stop after a signal.
const hardLimit = 20 * time.Second

// Flags are what the command line may say.
type Flags struct {
	telemetry.Flags
	Version         bool
	Flush           bool
	Config          string
	Managers        addresses
	FindManager     bool
	Register        bool
	RestartExitCode int // -1 = not given
	Metrics         string
	Profiles        string
}

// ParseFlags reads the command line; what is wrong with it has been written to stderr when it fails.
func ParseFlags(args []string, stderr io.Writer) (Flags, error) {
	var f Flags
	fs := flag.NewFlagSet("flamenco-worker", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.BoolVar(&f.Version, "version", false, "show the version and end")
	fs.BoolVar(&f.Flush, "flush", false, "deliver what the last run could not, sign off and end")
	fs.Func("manager", "`URL` of the Manager, instead of the configured one; several Managers of one farm with commas between\nthem, or one option each", func(text string) error {
		_, err := managerAddresses(append(f.Managers, text))
		f.Managers = append(f.Managers, text)
		return err
	})
	fs.StringVar(&f.Config, "config", ConfigFile, "read the configuration from `PATH`")
	fs.BoolVar(&f.FindManager, "find-manager", false, "find a Manager in the local network, print its address and end")
	fs.BoolVar(&f.Register, "register", false, "register as a new Worker, even if this one is registered, and end")
	fs.IntVar(&f.RestartExitCode, "restart-exit-code", -1,
		"end with this `code` when the Manager asks for a restart; 0 = the Worker cannot restart")
	fs.StringVar(&f.Metrics, "metrics", "", "serve figures for Prometheus at /metrics of this `ADDRESS`, such as :9101")
	fs.StringVar(&f.Profiles, "pprof", "", telemetry.ProfilesUsage)
	f.Flags.Register(fs)
	if err := fs.Parse(telemetry.WithProfilesAddress(args)); err != nil {
		return Flags{}, err
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		_, _ = fmt.Fprintln(stderr, err)
		return Flags{}, err
	}
	if f.Profiles != "" {
		if err := telemetry.CheckProfilesAddress(f.Profiles); err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return Flags{}, err
		}
	}
	if f.RestartExitCode < -1 || f.RestartExitCode > 255 {
		err := fmt.Errorf("-restart-exit-code: %d is not between 0 and 255", f.RestartExitCode)
		_, _ = fmt.Fprintln(stderr, err)
		return Flags{}, err
	}
	return f, nil
}

// Main is the program: it reads the configuration, runs a Worker until the Manager or a signal says so, and answers the
// exit code. Args are those behind the program's name, env is the environment, NAME=value. The first signal stops the
// Worker, which may finish its task if stop_grace says so; the next one makes it give the task back.
func Main(args, env []string, stdout, stderr io.Writer, signals <-chan os.Signal) int {
	if len(args) > 0 && args[0] == service.Command {
		return Service().Main(args[1:], stdout, stderr)
	}
	flags, err := ParseFlags(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.Version:
		_, _ = fmt.Fprintln(stdout, "Flamenco Worker", version.String())
		return exitOK
	}
	log := flags.Logger(stderr)
	options, err := options(flags, lookup(env), log)
	if err != nil {
		log.Error("cannot start", "error", err)
		return exitFailure
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	hurry, over := make(chan struct{}), make(chan struct{})
	steps := []func(){stop}
	if options.StopGrace > 0 {
		steps = append(steps, func() { close(hurry) })
	}
	options.Hurry = hurry
	var all sync.WaitGroup
	defer all.Wait()
	defer close(over)
	all.Go(func() { heed(over, signals, steps...) })
	if flags.FindManager {
		return printManager(ctx, stdout, log)
	}
	if len(options.Managers) == 0 {
		found, err := findManager(ctx, log)
		if err != nil {
			return exitCode(ctx, err, options, log)
		}
		options.Managers = []string{found}
	}
	w, err := New(options)
	if err != nil {
		log.Error("cannot start", "error", err)
		return exitFailure
	}
	log.Info("Flamenco Worker", "version", version.String(), "home", options.Home, "name", options.Name)
	logTools(log)
	return runLimited(ctx, w, options, log)
}

// lookup finds a variable in an environment; the last of its name counts.
func lookup(env []string) func(string) string {
	return func(wanted string) string {
		for _, entry := range slices.Backward(env) {
			if name, value, _ := strings.Cut(entry, "="); name == wanted {
				return value
			}
		}
		return ""
	}
}

// options joins configuration, command line and environment.
func options(flags Flags, getenv func(string) string, log *slog.Logger) (Options, error) {
	config, unknown, err := LoadConfig(flags.Config)
	if err != nil {
		return Options{}, err
	}
	for _, key := range unknown {
		log.Warn("unknown setting ignored", "file", flags.Config, "setting", key)
	}
	o := Options{
		Managers:        config.ManagerURL,
		TaskTypes:       config.TaskTypes,
		RestartExitCode: config.RestartExitCode,
		OOMScoreAdjust:  config.OOMScoreAdjust,
		RegisterOnly:    flags.Register,
		FlushOnly:       flags.Flush,
		StopGrace:       config.StopGrace,
		Log:             log,
		Metrics:         flags.Metrics,
		Profiles:        flags.Profiles,
		Checks: Checks{
			Readable: config.TaskChecks.Readable, Writable: config.TaskChecks.Writable, Limit: config.TaskChecks.Timeout,
		},
	}
	if o.OOMScoreAdjust != nil && runtime.GOOS != "linux" {
		log.Warn("oom_score_adjust is for Linux only and ignored here")
		o.OOMScoreAdjust = nil
	}
	if flags.RestartExitCode >= 0 {
		o.RestartExitCode = flags.RestartExitCode
	}
	if text := getenv("FLAMENCO_MANAGER"); len(o.Managers) == 0 && text != "" {
		o.Managers = []string{text}
	}
	if len(flags.Managers) > 0 {
		o.Managers = flags.Managers
	}
	if o.Name, err = workerName(config, getenv); err != nil {
		return Options{}, err
	}
	o.Home, err = homeFolder(getenv)
	return o, err
}

// runLimited runs the Worker, but does not wait for ever once ctx has ended.
func runLimited(ctx context.Context, w *Worker, o Options, log *slog.Logger) int {
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	select {
	case err := <-done:
		return exitCode(ctx, err, o, log)
	case <-ctx.Done():
	}
	grace := time.NewTimer(o.StopGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return exitCode(ctx, err, o, log)
	case <-grace.C:
	case <-o.Hurry:
	}
	limit := time.NewTimer(hardLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return exitCode(ctx, err, o, log)
	case <-limit.C:
		log.Error("the Worker did not stop in time", "limit", hardLimit)
		return exitHardStopped
	}
}

func exitCode(ctx context.Context, err error, o Options, log *slog.Logger) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, ErrRestart):
		log.Info("ending for a restart", "exit code", o.RestartExitCode)
		return o.RestartExitCode
	case ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		log.Info("stopped")
		return exitFailure
	}
	log.Error("the Worker ends", "error", err)
	return exitFailure
}

// logTools says which of the programs that most tasks need are here. Tasks may name others.
func logTools(log *slog.Logger) {
	findFFmpeg := func(name string) (string, error) { return command.FindFFmpeg(name, "") }
	for name, find := range map[string]func(string) (string, error){"blender": command.FindBlender, "ffmpeg": findFFmpeg} {
		path, err := find(name)
		if err != nil {
			log.Warn("program not found", "program", name, "reason", err)
			continue
		}
		log.Info("program found", "program", name, "path", path)
	}
}
