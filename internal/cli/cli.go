// SPDX-License-Identifier: GPL-3.0-or-later

// Package cli is the command line of Flamenco, for people at a terminal and for scripts.
//
// It owns the commands, what they print, and their exit codes; a file holds one command with its options. Everything it
// knows of the farm it asks the Manager for, through pkg/client: it never imports the store, the scheduler or the
// Manager, and works just as well with a Manager of Flamenco 3.
package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"flamenco.farm/internal/version"
)

// Streams is where a command reads and writes. Results go to Out, progress and errors to Err.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
}

// Main runs the command line and returns its exit code. Canceling ctx is the interruption by the user.
func Main(ctx context.Context, args []string, streams Streams, getenv func(string) string) int {
	return run(ctx, args, &globalOptions{streams: streams, getenv: getenv, find: findManager})
}

func run(ctx context.Context, args []string, g *globalOptions) int {
	streams := g.streams
	root := newRoot(g)
	root.SetArgs(args)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	_, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if ctx.Err() != nil {
		err = interrupted(err)
	}
	return report(err, streams, wantsJSON(root), g.getenv)
}

// globalOptions are the options that every command has, with the surroundings that commands work in.
type globalOptions struct {
	manager string
	json    bool

	streams Streams
	getenv  func(string) string
	find    func(context.Context) (string, error) // a Manager that nobody has named
}

func newRoot(g *globalOptions) *cobra.Command {
	root := &cobra.Command{
		Use:   "flamenco",
		Short: "Submit jobs to a Flamenco render farm and follow them",
		Long: `flamenco submits jobs to a Flamenco render farm and follows them.

The Manager is the first found of: --manager, the environment variable
FLAMENCO_MANAGER, the key "manager" of flamenco.yaml in your configuration
folder, one that is found in the local network, http://localhost:8080.

Jobs, tasks and workers are named by their id, or by the first characters of
it (four at least) as long as only one begins like that. A task may also be
named JOB/NUMBER or JOB/NAME.

Exit codes: 0 success, 1 failure, 2 wrong usage, 3 the job failed or was
canceled, 4 not found, 5 no Manager reached, 130 interrupted.`,
		Example: `  flamenco submit echo-sleep-test message=hello --wait
  flamenco jobs list
  flamenco tasks log -f 3f2a/render-1-10`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version.String(),
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("flamenco {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&g.manager, "manager", "", "address of the Manager, such as http://farm:8080;\nseveral of one farm with commas between them")
	flags.BoolVar(&g.json, "json", false, "print one JSON object a line, each with a \"type\"")
	root.AddCommand(
		newSubmit(g), newWait(g), newJobs(g), newTasks(g), newWorkers(g), newMaintenance(g), newManagers(g), newExport(g), newImport(g), newVersion(g),
	)
	usageErrors(root)
	return root
}

// group makes a command that only holds others.
func group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

// usageErrors marks what cobra says about arguments, so that it gets the exit code of wrong usage.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageError{err}
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		usageErrors(sub)
	}
}

func wantsJSON(root *cobra.Command) bool {
	wanted, err := root.PersistentFlags().GetBool("json")
	return err == nil && wanted
}

// SystemStreams are those of the process.
func SystemStreams() Streams {
	return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
}
