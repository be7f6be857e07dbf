// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/service"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
)

// Exit codes of flamenco-manager.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// usage is what -help says above the subcommands and the flags.
const usage = `Usage: flamenco-manager [flags]
       flamenco-manager SUBCOMMAND [flags]

Runs the Manager of a farm until it is told to stop. It logs what happens, at level info, unless -quiet, -debug or
-trace says otherwise; the most talkative of them counts. SIGHUP makes it read its configuration again.

Subcommands:
`

// commandLine is what the flags of flamenco-manager say.
type commandLine struct {
	log         telemetry.Flags
	config      string
	delay       time.Duration
	version     bool
	writeConfig bool
	setUp       bool
	profiles    string
	webProxy    *url.URL
	instead     []string // the subcommand that a flag of Flamenco 3 stands for
}

// Main is flamenco-manager: it reads args and environment, runs until ctx ends, and returns the exit code.
func Main(ctx context.Context, args, env []string) int {
	if len(args) > 0 && args[0] == service.Command {
		return Service().Main(args[1:], os.Stdout, os.Stderr)
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return runSubcommand(ctx, args, env)
	}
	cmd, err := parseCommandLine(args, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case cmd.version:
		fmt.Println("flamenco-manager", version.String())
		return exitOK
	}
	if cmd.instead != nil {
		return runSubcommand(ctx, append(cmd.instead, "-config", cmd.config), env)
	}
	log := cmd.log.Logger(os.Stderr)
	if err := run(ctx, cmd, env, log); err != nil {
		fmt.Fprintln(os.Stderr, "flamenco-manager:", err)
		return exitFailure
	}
	return exitOK
}

func parseCommandLine(args []string, output io.Writer) (commandLine, error) {
	var cmd commandLine
	flags := flag.NewFlagSet("flamenco-manager", flag.ContinueOnError)
	flags.SetOutput(output)
	cmd.log.Register(flags)
	flags.StringVar(&cmd.config, "config", config.FileName, "read the configuration from `PATH`")
	flags.BoolVar(&cmd.version, "version", false, "print the version and exit")
	flags.BoolVar(&cmd.writeConfig, "write-config", false, "write a configuration file that explains every setting, and exit")
	flags.BoolVar(&cmd.setUp, "setup-assistant", false, "offer the setup assistant, also when there is a configuration already")
	flags.DurationVar(&cmd.delay, "delay", 0, "wait for this `TIME`, such as 10s, before starting")
	flags.StringVar(&cmd.profiles, "pprof", "", telemetry.ProfilesUsage)
	proxy := flags.String("web-proxy", "", "for work on the web app: show the one of the Vite server at this `URL`")
	show := flags.Bool("shaman-gc-show", false, "the same as the subcommand shaman gc -dry-run")
	collect := flags.Bool("shaman-gc-delete", false, "the same as the subcommand shaman gc")
	flags.Usage = func() {
		fmt.Fprint(output, usage)
		listSubcommands(output)
		fmt.Fprint(output, "Flags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(telemetry.WithProfilesAddress(args)); err != nil {
		return cmd, err
	}
	switch {
	case *show:
		cmd.instead = []string{"shaman", "gc", "-dry-run"}
	case *collect:
		cmd.instead = []string{"shaman", "gc"}
	}
	var err error
	switch {
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cmd.delay < 0:
		err = fmt.Errorf("-delay %s is less than no time", cmd.delay)
	case *proxy != "":
		cmd.webProxy, err = parseWebProxy(*proxy)
	}
	if err == nil && cmd.profiles != "" {
		err = telemetry.CheckProfilesAddress(cmd.profiles)
	}
	if err != nil {
		fmt.Fprintln(output, "flamenco-manager:", err)
		return cmd, err
	}
	return cmd, nil
}

func run(ctx context.Context, cmd commandLine, env []string, log *slog.Logger) error {
	if cmd.writeConfig {
		if err := config.WriteSample(cmd.config, config.Default()); err != nil {
			return err
		}
		log.Info("configuration written", "path", cmd.config)
		return nil
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program itself: %w", err)
	}
	if !wait(ctx, cmd.delay, log) {
		return nil
	}
	src := config.Sources{Path: cmd.config, Env: env, ExecutableDir: filepath.Dir(executable), SetUp: cmd.setUp}
	return runAgain(ctx, src, Options{Log: log, ScriptsDir: jobtype.DefaultScriptsDir(), Executable: executable, Profiles: cmd.profiles, WebProxy: cmd.webProxy})
}

// wait lets time pass before the start, so that a network or a disk can come up first. It is false if ctx ended meanwhile.
func wait(ctx context.Context, delay time.Duration, log *slog.Logger) bool {
	if delay == 0 {
		return true
	}
	log.Info("waiting before the start", "delay", delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// runAgain runs a Manager, and another one each time it has to restart, until ctx ends.
func runAgain(ctx context.Context, src config.Sources, opts Options) error {
	hangUp := make(chan os.Signal, 1)
	signal.Notify(hangUp, syscall.SIGHUP)
	defer signal.Stop(hangUp)
	for {
		err := runOnce(ctx, src, opts, hangUp)
		if !errors.Is(err, ErrRestart) {
			return err
		}
		opts.Log.Info("Flamenco Manager restarts with its new configuration", "because", err)
		src.SetUp = false // the assistant was gone through
	}
}

// runOnce reads the configuration and runs a Manager with it, until ctx ends or it has to restart.
func runOnce(ctx context.Context, src config.Sources, opts Options, hangUp <-chan os.Signal) error {
	live, err := config.Open(src, opts.Log)
	if err != nil {
		return err
	}
	cfg := live.Current()
	opts.Live = live
	if _, err := os.Stat(src.Path); errors.Is(err, fs.ErrNotExist) {
		opts.Log.Warn("there is no configuration file, so every setting has its default", "path", src.Path)
	}
	opts.Log.Info("Flamenco Manager starts", "version", version.String(), "name", cfg.ManagerName, "database", store.NameOf(cfg.Database), "shared_storage", cfg.SharedStorage)

	ctx, stop := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		onHangUp(ctx, hangUp, stop, live, opts.Log)
	}()
	err = New(opts).Run(ctx)
	stop()
	<-listening
	if err == nil {
		opts.Log.Info("Flamenco Manager has stopped")
	}
	return err
}

// onHangUp reads the configuration again on SIGHUP, as services do. At a terminal the signal means that the terminal is
// gone, and the Manager ends, as it would without us.
func onHangUp(ctx context.Context, hangUp <-chan os.Signal, stop func(), live *config.Live, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangUp:
		}
		if telemetry.IsTerminal(os.Stdin) {
			stop()
			return
		}
		if err := live.Reload(); err != nil {
			log.Error("the configuration cannot be used, the settings stay as they are", "error", err)
			continue
		}
		log.Info("the configuration was read again")
	}
}
