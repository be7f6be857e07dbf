// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package preview

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestAChildThatHangsCrashesOrTalksNonsenseCostsOnePicture(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ script, says string }{
		"hangs":                {"exec sleep 600", "within"},
		"hangs with a child":   {"sleep 600 & wait", "within"},
		"crashes":              {"kill -SEGV $$", "signal"},
		"fails":                {"cat >/dev/null; echo out of memory >&2; exit 2", "out of memory"},
		"says nothing":         {"cat >/dev/null", "nonsense"},
		"says nonsense":        {"cat >/dev/null; echo nonsense", "nonsense"},
		"says it without end":  {"exec cat /dev/zero", "within"},
		"does not read":        {"exit 0", "nonsense"},
		"is not there":         {"", "starting the process"},
		"complains at length":  {"head -c 1000000 /dev/zero | tr '\\0' x >&2; exit 1", "xxx"},
		"answers more than 3 ": {"printf '\\0\\0\\0\\1a\\0\\0\\0\\1b\\0\\0\\0\\1c\\0'", "nonsense"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			program := filepath.Join(t.TempDir(), "program")
			if c.script != "" {
				if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			s := setup(t, func(o *Options) {
				o.Executable, o.TimeLimit = program, 2*time.Second
				if c.says != "within" {
					o.TimeLimit = time.Minute
				}
			})
			s.take(s.submit(), frame(300, 300, red))
			line := await(t, s.logged)
			if !strings.Contains(line, c.says) || len(line) > 8<<10 {
				t.Errorf("%.300s, want %q", line, c.says)
			}
			if len(s.stored) != 0 {
				t.Error("a picture was stored")
			}
		})
	}
}
