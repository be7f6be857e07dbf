// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/telemetry"
	"flamenco.farm/internal/version"
)

// Exit codes of flamenco-manager.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// commandLine is what the flags of flamenco-manager say.
type commandLine struct {
	log         telemetry.Flags
	config      string
	version     bool
	writeConfig bool
	profiling   bool
}

// Main is flamenco-manager: it reads args and environment, runs until ctx ends, and returns the exit code.
func Main(ctx context.Context, args, env []string) int {
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
	flags.BoolVar(&cmd.profiling, "pprof", false, "serve profiles of the Manager at /debug/pprof/")
	flags.Usage = func() {
		fmt.Fprint(output, "Usage: flamenco-manager [flags]\n       flamenco-manager SUBCOMMAND [flags]\nSubcommands:\n")
		listSubcommands(output)
		fmt.Fprint(output, "Flags:\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return cmd, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", flags.Arg(0))
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
	cfg, err := config.Load(config.Sources{Path: cmd.config, Env: env, ExecutableDir: filepath.Dir(executable)}, log)
	if err != nil {
		return err
	}
	log.Info("Flamenco Manager starts", "version", version.String(), "name", cfg.ManagerName, "database", cfg.Database, "shared_storage", cfg.SharedStorage)
	err = New(Options{
		Config: cfg, Log: log, ScriptsDir: jobtype.DefaultScriptsDir(), Executable: executable, Profiling: cmd.profiling,
	}).Run(ctx)
	if err == nil {
		log.Info("Flamenco Manager has stopped")
	}
	return err
}
