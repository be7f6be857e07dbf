// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package jobtype

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/farm"
)

// program writes a shell script that stands in for the Manager's binary.
func program(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

const ready = `read setup; echo '{"ready":true}'; read order; echo '{"started":true}'; `

func TestAProcessThatNeverAnswersIsKilledAtTheLimit(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"at its work":           ready + "exec sleep 60",
		"with children":         ready + "sleep 60",
		"after half an answer":  ready + `printf '{"tasks":'; exec sleep 60`,
		"with its output ended": ready + "exec >&-; exec sleep 60",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := setupService(t, Options{Executable: program(t, text), TimeLimit: 100 * time.Millisecond}, nil)
			start := time.Now()
			types, err := s.Types(t.Context())
			if err != nil || len(types) != 0 {
				t.Errorf("there are %s, %v", names(types), err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestHowAProcessEndedIsInTheError(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, text, want string
		code             farm.Code
	}{
		{"before it was ready", "exit 3", "exit status 3", ""},
		{"before it started", `read setup; echo '{"ready":true}'; read order; exit 4`, "exit status 4", ""},
		{"with a crash report", ready + "echo 'fatal error: boom' >&2; exit 2", "crashed while it ran: fatal error: boom", farm.CodeInvalid},
		{"without a word", ready + "exit 2", "crashed while it ran: exit status 2", farm.CodeInvalid},
		{"after nonsense", ready + "echo nonsense", "cannot be read", farm.CodeInvalid},
		{"after mistyped tasks", ready + `echo '{"tasks":[{"name":5}]}'`, "cannot be read", farm.CodeInvalid},
		{"out of processor time", ready + "kill -XCPU $$", "longer than the limit", farm.CodeInvalid},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setupService(t, Options{Executable: program(t, test.text)}, nil)
			lib := &library{scripts: []script{{"mine.js", "x"}}}
			err := s.carryOut(t.Context(), lib, order{Script: "mine.js"}, func(reply) error { return nil })
			if farm.CodeOf(err) != test.code || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error does not say %q: %v", test.want, err)
			}
			if err := s.makeSpare(t.Context()); test.name == "before it was ready" && err == nil {
				t.Error("it is kept ready")
			}
			s.dropSpare()
		})
	}
}

func TestNothingThatAProcessSendsIsTrusted(t *testing.T) {
	t.Parallel()
	const done = `echo '{"job":{"name":"n","priority":50}}'`
	for _, test := range []struct{ name, text, want string }{
		{"no tasks", done, "no job"},
		{"a dependency on nothing", `echo '{"tasks":[{"name":"t","type":"x","dependencies":[1]}]}'; ` + done, `"t" depends on task 2 of 1`},
		{"a circle", `echo '{"tasks":[{"name":"t","type":"x","dependencies":[0]}]}'; ` + done, `"t" needs "t"`},
		{"a task without a name", `echo '{"tasks":[{"type":"x"}]}'; ` + done, "name is empty"},
		{"a task without a type", `echo '{"tasks":[{"name":"t"}]}'; ` + done, "type is empty"},
		{"an impossible priority", `echo '{"tasks":[{"name":"t","type":"x","priority":101}]}'; ` + done, "priority is 101"},
		{"a command without a name", `echo '{"tasks":[{"name":"t","type":"x","commands":[{}]}]}'; ` + done, "command 1 is empty"},
		{"negative steps", `echo '{"tasks":[{"name":"t","type":"x","commands":[{"name":"c","steps":-1}]}]}'; ` + done, "-1 steps"},
		{"an unknown mode", `echo '{"tasks":[{"name":"t","type":"x","onDisconnect":"x"}]}'; ` + done, "onDisconnect"},
		{"too many tasks", `echo '{"tasks":[{"name":"t","type":"x"},{"name":"t","type":"x"},{"name":"t","type":"x"}]}'; ` + done, "more than 2 tasks"},
		{"a job without a name", `echo '{"tasks":[{"name":"t","type":"x"}]}'; echo '{"job":{"priority":50}}'`, "name of the job is empty"},
		{"a job of impossible priority", `echo '{"tasks":[{"name":"t","type":"x"}]}'; echo '{"job":{"name":"n","priority":-1}}'`, "priority of the job is -1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := setupService(t, Options{Executable: program(t, ready+test.text), MaxTasks: 2}, nil)
			s.lib = &library{
				scripts: []script{{"mine.js", "x"}}, types: []Type{{Name: "mine"}}, sources: map[string]string{"mine": "mine.js"},
			}
			mustRefuse(t, s, mine(nil), farm.CodeInvalid, "mine", test.want)
		})
	}
}
