// SPDX-License-Identifier: GPL-3.0-or-later

// Package telemetry owns how the programs tell of themselves: their log, with where to, in which form and from which level
// on; their metrics, in the format of Prometheus; their profiles. It must not know what is logged or measured, nor any
// other package of the project.
package telemetry

import (
	"flag"
	"io"
	"log/slog"
	"os"
	"runtime"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"
)

// LevelTrace is below debug: every request and every wait.
const LevelTrace = slog.LevelDebug - 4

// Flags are the command line flags that shape the log, the same for all daemons.
type Flags struct {
	Quiet   bool
	Verbose bool
	Debug   bool
	Trace   bool
	JSON    bool
}

// Register adds the flags to fs.
func (f *Flags) Register(fs *flag.FlagSet) {
	fs.BoolVar(&f.Quiet, "quiet", false, "log warnings and errors only")
	fs.BoolVar(&f.Verbose, "verbose", false, "log what happens (info), also with -quiet; this is the default")
	fs.BoolVar(&f.Debug, "debug", false, "log more")
	fs.BoolVar(&f.Trace, "trace", false, "log everything, every request included")
	fs.BoolVar(&f.JSON, "json", false, "log one JSON object a line")
}

// Level is the lowest level that is logged; the most talkative flag wins.
func (f Flags) Level() slog.Level {
	switch {
	case f.Trace:
		return LevelTrace
	case f.Debug:
		return slog.LevelDebug
	case f.Quiet && !f.Verbose:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Logger writes to w: JSON when asked for, coloured lines on a terminal, key=value lines otherwise.
func (f Flags) Logger(w io.Writer) *slog.Logger {
	if f.JSON {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: f.Level(), ReplaceAttr: nameTrace}))
	}
	if IsTerminal(w) {
		return slog.New(tint.NewTextHandler(w, &tint.Options{
			Level:      f.Level(),
			TimeFormat: time.TimeOnly,
			// The old Windows console prints escape sequences as they are.
			NoColor: os.Getenv("NO_COLOR") != "" || runtime.GOOS == "windows",
		}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: f.Level(), ReplaceAttr: nameTrace}))
}

// IsTerminal reports whether a file is a terminal, before which somebody may sit.
func IsTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// nameTrace keeps slog from printing the trace level as "DEBUG-4".
func nameTrace(_ []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && level == LevelTrace {
		a.Value = slog.StringValue("TRACE")
	}
	return a
}
