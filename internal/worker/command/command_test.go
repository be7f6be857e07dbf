// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

func TestCommandsAreDecoded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, parameters string
		want             Command
	}{
		{
			NameBlenderRender,
			`{"exe": "blender", "exeArgs": "-b -y --log 'render job'", "argsBefore": ["--threads", 4], "blendfile": "/a b.blend", "args": ["-f", 1.5, true, 24.0, 1000000]}`,
			BlenderRender{
				Exe: "blender", ExeArgs: []string{"-b", "-y", "--log", "render job"}, ArgsBefore: []string{"--threads", "4"},
				Blendfile: "/a b.blend", Args: []string{"-f", "1.5", "true", "24", "1000000"},
			},
		},
		{NameBlenderRender, `{"exe": "blender", "blendfile": "", "args": null}`, BlenderRender{Exe: "blender"}},
		{NameExec, `{"exe": "/bin/ls", "args": ["-l"]}`, Exec{Exe: "/bin/ls", Args: []string{"-l"}}},
		{NameExec, `{"exe": "ls"}`, Exec{Exe: "ls"}},
		{
			NameFramesToVideo,
			`{"exe": "ffmpeg", "exeArgs": "-hide_banner", "fps": 24, "inputGlob": "/f/*.png", "outputFile": "/v.mp4", "argsBefore": ["-y"], "args": ["-crf", 20]}`,
			FramesToVideo{
				Exe: "ffmpeg", ExeArgs: []string{"-hide_banner"}, ArgsBefore: []string{"-y"}, InputGlob: "/f/*.png",
				Args: []string{"-crf", "20"}, FPS: 24, OutputFile: "/v.mp4",
			},
		},
		{NameMoveDirectory, `{"src": "/a", "dest": "b"}`, MoveDirectory{Src: "/a", Dest: "b"}},
		{NameCopyFile, `{"src": "/a", "dest": "/b"}`, CopyFile{Src: "/a", Dest: "/b"}},
		{NameMakeDirectory, `{"path": "/a/b"}`, MakeDirectory{Path: "/a/b"}},
		{NameEcho, `{"message": ""}`, Echo{}},
		{NameSleep, `{"duration_in_seconds": 2.9}`, Sleep{Duration: 2 * time.Second}},
		{NameSleep, `{"duration_in_seconds": 0}`, Sleep{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var raw Raw
			text := `{"name": "` + test.name + `", "total_step_count": 3, "parameters": ` + test.parameters + `}`
			if err := json.Unmarshal([]byte(text), &raw); err != nil {
				t.Fatal(err)
			}
			got, err := decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAMistakeNamesTheCommandAndTheParameter(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, parameters, want string }{
		{"paint", `{}`, `unknown command "paint"`},
		{"", `{}`, `unknown command ""`},
		{NameExec, `{}`, `parameter "exe" of command exec is missing`},
		{NameExec, `null`, `parameter "exe" of command exec is missing`},
		{NameExec, `{"exe": ""}`, `parameter "exe" of command exec is empty`},
		{NameExec, `{"exe": 3}`, `parameter "exe" of command exec must be a text, not a number`},
		{NameExec, `{"exe": "a", "args": "-l"}`, `parameter "args" of command exec must be a list, not the text "-l"`},
		{NameExec, `{"exe": "a", "args": ["x", {}]}`, `parameter "args" of command exec must be a list of texts and numbers, but element 2 is an object`},
		{NameExec, `{"exe": "a", "args": [null]}`, `element 1 is nothing`},
		{NameBlenderRender, `{"exe": "blender"}`, `parameter "blendfile" of command blender-render is missing`},
		{NameBlenderRender, `{"exe": "blender", "blendfile": "", "exeArgs": "'"}`, `parameter "exeArgs" of command blender-render cannot be split`},
		{NameFramesToVideo, `{"exe": "ffmpeg", "fps": 0, "inputGlob": "a", "outputFile": "b"}`, `parameter "fps" of command frames-to-video must be above 0`},
		{NameFramesToVideo, `{"exe": "ffmpeg", "fps": "24", "inputGlob": "a", "outputFile": "b"}`, `parameter "fps" of command frames-to-video must be a number, not the text "24"`},
		{NameFramesToVideo, `{"exe": "ffmpeg", "fps": 24, "outputFile": "b"}`, `parameter "inputGlob" of command frames-to-video is missing`},
		{NameMoveDirectory, `{"src": "/a"}`, `parameter "dest" of command move-directory is missing`},
		{NameCopyFile, `{"src": "a", "dest": "/b"}`, `parameter "src" of command copy-file must be an absolute path, not "a"`},
		{NameCopyFile, `{"src": "/a", "dest": "b"}`, `parameter "dest" of command copy-file must be an absolute path, not "b"`},
		{NameMakeDirectory, `{}`, `parameter "path" of command make-directory is missing`},
		{NameEcho, `{}`, `parameter "message" of command echo is missing`},
		{NameSleep, `{}`, `parameter "duration_in_seconds" of command sleep is missing`},
		{NameSleep, `{"duration_in_seconds": -0.5}`, `parameter "duration_in_seconds" of command sleep must be from 0`},
		{NameSleep, `{"duration_in_seconds": 1e300}`, `parameter "duration_in_seconds" of command sleep must be from 0`},
		{NameSleep, `{"duration_in_seconds": true}`, `must be a number, not a boolean`},
	} {
		t.Run(test.name+test.parameters, func(t *testing.T) {
			t.Parallel()
			raw := Raw{Name: test.name}
			if err := json.Unmarshal([]byte(test.parameters), &raw.Parameters); err != nil {
				t.Fatal(err)
			}
			c, err := Decode(raw)
			if err == nil || !strings.Contains(err.Error(), test.want) || farm.CodeOf(err) != farm.CodeInvalid {
				t.Errorf("got %v, %v, want %q", c, err, test.want)
			}
		})
	}
}

func TestEchoLogsItsMessage(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	if err := run(t, env, 0, NameEcho, map[string]any{"message": "hello"}); err != nil {
		t.Fatal(err)
	}
	if r.text() != "echo: \"hello\"\n" || r.steps != 1 {
		t.Errorf("log %q, %d steps", r.text(), r.steps)
	}
}

func TestSleepLeavesOutTheFraction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		env, r := newEnv(t)
		start := time.Now()
		if err := run(t, env, 0, NameSleep, map[string]any{"duration_in_seconds": 90.75}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 90*time.Second || r.text() != "slept 1m30s\n" {
			t.Errorf("took %v, log %q", took, r.text())
		}
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		env, r := newEnv(t)
		err := Sleep{Duration: time.Hour}.Run(ctx, env)
		if err != context.DeadlineExceeded || r.text() != "" {
			t.Errorf("got %v, log %q", err, r.text())
		}
	})
}

// counting is a command that says how many steps it did.
type counting []int

func (c counting) Run(_ context.Context, env Env) error {
	for _, n := range c {
		env.Step(n)
	}
	env.Output("ignored")
	return nil
}

func TestStepsAreNeverMoreThanAnnounced(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		total, want int
		steps       counting
	}{
		{0, 1, nil},
		{0, 1, counting{1, 1, 1}},
		{-3, 1, counting{1}},
		{3, 2, counting{1, 1}},
		{3, 3, counting{1, 1, 1, 1}},
		{3, 3, counting{2, 5}},
	} {
		got := 0
		c := stepped{command: test.steps, total: test.total}
		if err := c.Run(t.Context(), Env{Step: func(n int) { got += n }}); err != nil || got != test.want {
			t.Errorf("%+v: got %d steps, %v", test, got, err)
		}
	}
}
