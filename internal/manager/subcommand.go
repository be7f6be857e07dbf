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
	"slices"
	"strings"

	"golang.org/x/term"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/service"
	"flamenco.farm/internal/telemetry"
)

// subcommand is something that flamenco-manager does instead of being a Manager.
type subcommand struct {
	name    string // of one word or two
	summary string
	// flags adds the flags of its own, and returns what to do once they are read.
	flags func(*flag.FlagSet) func(ctx context.Context, a *admin) error
}

// subcommands is all of them, in the order of the help.
func subcommands() []subcommand {
	return []subcommand{
		{"shaman gc", "delete uploaded files that are old and in no checkout", shamanGCFlags},
		{"cleanslate", "erase all jobs and tasks, with their logs and previews", cleanSlateFlags},
		{"db check", "read the whole database and say what is wrong with it", databaseFlags(CheckDatabase)},
		{"db migrate", "bring the schema of the database up to date, after making a copy", databaseFlags(MigrateDatabase)},
		{"db vacuum", "write the database anew, as small as it can be", vacuumFlags},
		{"maintenance on", "begin a maintenance of the farm: what runs goes on, and nothing new begins", maintenanceOnFlags},
		{"maintenance off", "end the maintenance of the farm", maintenanceOffFlags},
		{"maintenance status", "say whether the farm is in maintenance, and which Managers it has", maintenanceStatusFlags},
		{"export", "write the whole farm to the file that is the argument, also while the Manager runs", exportFlags},
		{"import", "replace the whole farm by the export in the file that is the argument", importFarmFlags},
		{"import-flamenco3", "bring over the farm of the Flamenco 3 Manager whose database is the argument PATH", importFlags},
	}
}

// admin is what a subcommand works with.
type admin struct {
	config     config.Config
	logFlags   telemetry.Flags
	log        *slog.Logger
	executable string
	args       []string // beside the flags
	in         io.Reader
	terminal   bool // somebody can answer
	out, errs  io.Writer
}

// errRefused is the end of a subcommand that was told not to go on; it has said so.
var errRefused = errors.New("nothing was changed")

// runSubcommand runs flamenco-manager <subcommand> and returns the exit code.
func runSubcommand(ctx context.Context, args, env []string) int {
	a := &admin{in: os.Stdin, terminal: term.IsTerminal(int(os.Stdin.Fd())), out: os.Stdout, errs: os.Stderr}
	return a.run(ctx, args, env)
}

func (a *admin) run(ctx context.Context, args, env []string) int {
	for _, c := range subcommands() {
		words := strings.Fields(c.name)
		if len(args) < len(words) || !slices.Equal(args[:len(words)], words) {
			continue
		}
		do, configPath, err := a.parse(c, args[len(words):])
		switch {
		case errors.Is(err, flag.ErrHelp):
			return exitOK
		case err != nil:
			return exitUsage
		}
		if err := a.load(configPath, env); err == nil {
			err = do(ctx, a)
			if err == nil {
				return exitOK
			}
			fmt.Fprintf(a.errs, "flamenco-manager %s: %v\n", c.name, err)
		} else {
			fmt.Fprintln(a.errs, "flamenco-manager:", err)
		}
		return exitFailure
	}
	fmt.Fprintf(a.errs, "flamenco-manager: unexpected argument %q; without one it is a Manager, and it knows these subcommands:\n", args[0])
	listSubcommands(a.errs)
	return exitUsage
}

func listSubcommands(w io.Writer) {
	for _, c := range subcommands() {
		fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
	}
	fmt.Fprintf(w, "  %-18s %s\n\n", service.Command, "run the Manager as a service of the operating system")
}

func (a *admin) parse(c subcommand, args []string) (do func(context.Context, *admin) error, configPath string, err error) {
	flags := flag.NewFlagSet("flamenco-manager "+c.name, flag.ContinueOnError)
	flags.SetOutput(a.errs)
	flags.Usage = func() {
		fmt.Fprintf(a.errs, "Usage: flamenco-manager %s [flags]\n%s%s.\n", c.name, strings.ToUpper(c.summary[:1]), c.summary[1:])
		flags.PrintDefaults()
	}
	a.logFlags.Register(flags)
	flags.StringVar(&configPath, "config", config.FileName, "read the configuration from `PATH`")
	do = c.flags(flags)
	a.args, err = parseAll(flags, args)
	return do, configPath, err
}

// parseAll takes flags before and behind other words, and returns those.
func parseAll(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil || flags.NArg() == 0 {
			return words, err
		}
		words = append(words, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func (a *admin) load(path string, env []string) (err error) {
	if a.executable == "" {
		if a.executable, err = os.Executable(); err != nil {
			return fmt.Errorf("finding the program itself: %w", err)
		}
	}
	a.logFlags.Quiet = true // what it does is its output; -debug and -trace go before this
	a.log = a.logFlags.Logger(a.errs)
	a.config, err = config.Load(config.Sources{Path: path, Env: env, ExecutableDir: filepath.Dir(a.executable)}, a.log)
	return err
}

// noArguments refuses what a subcommand without arguments was given.
func (a *admin) noArguments() error {
	if len(a.args) > 0 {
		return fmt.Errorf("unexpected argument %q", a.args[0])
	}
	return nil
}

// confirm asks before something that cannot be undone. Without somebody to ask, only yes will do.
func (a *admin) confirm(yes bool, question string) error {
	if yes {
		return nil
	}
	if !a.terminal {
		return fmt.Errorf("%w: give -yes, because there is no terminal to ask at", errRefused)
	}
	fmt.Fprintf(a.out, "%s Type yes to go on: ", question)
	var answer string
	if _, err := fmt.Fscanln(a.in, &answer); err != nil || !strings.EqualFold(answer, "yes") {
		return errRefused
	}
	return nil
}
