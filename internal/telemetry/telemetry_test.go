// SPDX-License-Identifier: GPL-3.0-or-later

package telemetry_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"log/slog"
	"strings"
	"testing"

	"flamenco.farm/internal/telemetry"
)

func parse(t *testing.T, args ...string) telemetry.Flags {
	t.Helper()
	var flags telemetry.Flags
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	flags.Register(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return flags
}

func TestTheMostTalkativeFlagSetsTheLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want slog.Level
	}{
		{nil, slog.LevelInfo},
		{[]string{"-quiet"}, slog.LevelWarn},
		{[]string{"-quiet", "-verbose"}, slog.LevelInfo},
		{[]string{"-quiet", "--debug"}, slog.LevelDebug},
		{[]string{"-debug", "-trace"}, telemetry.LevelTrace},
	} {
		if got := parse(t, c.args...).Level(); got != c.want {
			t.Errorf("%v: level %v, want %v", c.args, got, c.want)
		}
	}
}

func TestJSONLogLinesAreObjects(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	parse(t, "-json", "-trace").Logger(&out).Log(context.Background(), telemetry.LevelTrace, "hello", "n", 1)
	var line map[string]any
	if err := json.Unmarshal([]byte(out.String()), &line); err != nil {
		t.Fatalf("%q: %v", out.String(), err)
	}
	if line["msg"] != "hello" || line["n"] != 1.0 || line["level"] != "TRACE" {
		t.Errorf("got %v", line)
	}
}

func TestQuietHidesInformation(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	log := parse(t, "-quiet").Logger(&out)
	log.Info("hidden")
	log.Warn("seen")
	if s := out.String(); strings.Contains(s, "hidden") || !strings.Contains(s, "seen") || strings.Contains(s, "\x1b") {
		t.Errorf("got %q", s)
	}
}
