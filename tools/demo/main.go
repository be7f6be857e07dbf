// SPDX-License-Identifier: GPL-3.0-or-later

// Command demo shows a whole render farm on one computer: it makes a small animation, starts a Manager and Workers on free
// ports in a temporary folder, renders, and says where the frames are. `make demo` runs it.
//
// It uses the programs as anybody would, next to its own executable, and knows nothing of how they work inside.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// options are those of the command line.
type options struct {
	frames  int
	chunk   int
	workers int
	size    string
	width   int
	height  int
	bin     string
	exit    bool
	keep    bool
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = run(ctx, o)
	stop()
	os.Exit(report(err))
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.IntVar(&o.frames, "frames", 24, "how many frames to render")
	flags.IntVar(&o.chunk, "chunk", 3, "how many frames one task renders")
	flags.IntVar(&o.workers, "workers", 2, "how many Workers to start")
	flags.StringVar(&o.size, "size", "320x180", "size of the frames in pixels")
	flags.BoolVar(&o.exit, "exit", false, "end when the frames are rendered; exit code 0 only if every frame and the video are right")
	flags.BoolVar(&o.keep, "keep", false, "keep the whole farm folder, with database and logs, not only the frames")
	flags.StringVar(&o.bin, "bin", "", "folder of flamenco-manager, flamenco-worker and flamenco (default: that of this program)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if n, err := fmt.Sscanf(o.size, "%dx%d", &o.width, &o.height); n != 2 || err != nil || o.width < 16 || o.height < 16 {
		return o, fmt.Errorf("-size is %q, must look like 320x180", o.size)
	}
	for name, value := range map[string]int{"frames": o.frames, "chunk": o.chunk, "workers": o.workers} {
		if value < 1 {
			return o, fmt.Errorf("-%s is %d, must be at least 1", name, value)
		}
	}
	if o.bin == "" {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the programs: %w", err)
		}
		o.bin = filepath.Dir(self)
	}
	return o, nil
}

// errInterrupted is the end by Ctrl-C before there was a result.
var errInterrupted = errors.New("interrupted")

// report says what went wrong, with the log of the program that did, and returns the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	if errors.Is(err, errInterrupted) {
		fmt.Fprintln(os.Stderr, "Interrupted. Everything was stopped.")
		return 130
	}
	fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
	if failed, ok := errors.AsType[*programError](err); ok && failed.tail != "" {
		fmt.Fprintf(os.Stderr, "\nThe end of %s:\n%s\n", failed.logPath, failed.tail)
	}
	return 1
}
