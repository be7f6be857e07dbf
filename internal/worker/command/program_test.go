// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package command

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/worker/process"
)

func TestExecLogsItsCommandLineAndOutput(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	err := run(t, env, 0, NameExec, map[string]any{
		"exe": "/bin/sh", "args": []any{"-c", `echo "$1"; echo two >&2`, "sh", "a b's", 7.0},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "/bin/sh -c 'echo \"$1\"; echo two >&2' sh 'a b'\\''s' 7\npid=N > a b's\npid=N > two\n"
	if diff := cmp.Diff(want, r.text()); diff != "" {
		t.Error(diff)
	}
	if r.steps != 1 {
		t.Errorf("%d steps", r.steps)
	}
}

func TestAProgramThatFailsFailsTheCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ script, want string }{
		{"exit 3", "command exited abnormally with code 3"},
		{"kill -9 $$", "command killed by signal 9 (killed)"},
		{"ulimit -c 0; kill -ABRT $$", "command crashed with signal 6 (aborted)"},
	} {
		env, r := newEnv(t)
		err := run(t, env, 0, NameExec, map[string]any{"exe": "/bin/sh", "args": []any{"-c", test.script}})
		var exit *ExitError
		if !errors.As(err, &exit) || err.Error() != test.want || r.steps != 0 {
			t.Errorf("%q: got %v and %d steps", test.script, err, r.steps)
		}
	}
}

func TestAMissingProgramIsNamed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ command, exe, want string }{
		{NameExec, "no-such-program", `executable "no-such-program" not found in PATH`},
		{NameExec, "/no/such/program", `executable "/no/such/program" not found`},
		{NameBlenderRender, "no-such-blender", `no Blender named "no-such-blender" was found on this Worker, `},
		{NameBlenderRender, "/no/such/blender", `Blender is not at /no/such/blender on this Worker: install it there, or change the variable {blender}`},
		{NameFramesToVideo, "no-such-ffmpeg", `executable "no-such-ffmpeg" not found in PATH`},
	} {
		env, _ := newEnv(t)
		err := run(t, env, 0, test.command, map[string]any{
			"exe": test.exe, "blendfile": "", "fps": 24.0, "inputGlob": "x", "outputFile": filepath.Join(t.TempDir(), "v"),
		})
		if farm.CodeOf(err) != farm.CodeNotFound || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("got %v, want it to begin with %q", err, test.want)
		}
	}
}

func TestACanceledProgramIsEnded(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("not allowed to run")
	r.onLine = func(line string) {
		if strings.HasSuffix(line, "> ready") {
			cancel(stop)
		}
	}
	c, err := Decode(Raw{Name: NameBlenderRender, Parameters: map[string]any{
		"exe": script(t, "blender", `trap '' TERM; echo ready; while :; do sleep 10; done`), "blendfile": "",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(ctx, env); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestTheSpecOfAProcessCarriesTheEnv(t *testing.T) {
	t.Parallel()
	env, _ := newEnv(t)
	score := 300
	env.OOMScoreAdjust = &score
	env.Left = func() time.Duration { return time.Hour }
	var got process.Spec
	env.Process = func(_ context.Context, spec process.Spec, _ io.Writer) (process.Result, error) {
		got = spec
		return process.Result{}, nil
	}
	if err := run(t, env, 0, NameExec, map[string]any{"exe": "x", "args": []any{"y"}}); err != nil {
		t.Fatal(err)
	}
	if got.Left == nil || got.Left() != time.Hour {
		t.Error("it does not say how much time is left")
	}
	got.OnStart, got.Left = nil, nil
	want := process.Spec{
		Path: "x", Args: []string{"y"}, Assignment: env.Assignment, Home: env.Home, OOMScoreAdjust: &score, Grace: env.Grace,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBlenderIsFollowed(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	blender := script(t, "blender", `
for a in "$@"; do echo "arg $a"; done
echo "Saved: '/render/0001.png'"
echo " Time: 00:00.81 (Saving: 00:00.10)"
echo 'skipping existing frame "/render/0002.png"'
echo "00:01.3  render           | Saved: '/render/0003.png'"
echo "00:01.3  render           | Time: 00:00.81 (Saving: 00:00.10)"
`)
	err := run(t, env, 10, NameBlenderRender, map[string]any{
		"exe": blender, "exeArgs": "-b -y", "argsBefore": []any{"--log"}, "blendfile": "/a b.blend", "args": []any{"-f", 1.0},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/render/0001.png", "/render/0003.png"}, r.outputs); diff != "" || r.steps != 3 {
		t.Errorf("%d steps; %s", r.steps, diff)
	}
	want := "arg -b\npid=N > arg -y\npid=N > arg --log\npid=N > arg /a b.blend\npid=N > arg -f\npid=N > arg 1\n"
	if !strings.Contains(r.text(), want) {
		t.Errorf("log:\n%s", r.text())
	}
}

func TestFFmpegGetsItsArgumentsInOrder(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	ffmpeg := script(t, "my-ffmpeg", `echo "$*"; for a in "$@"; do case "$a" in *index.txt) cat "$a"; ls "$(dirname "$a")";; esac; done`)
	frames := t.TempDir()
	for _, name := range []string{"b'2.png", "a1.png"} {
		if err := os.WriteFile(filepath.Join(frames, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := FramesToVideo{
		Exe: ffmpeg, ExeArgs: []string{"-hide_banner"}, ArgsBefore: []string{"-y"}, InputGlob: filepath.Join(frames, "*.png"),
		Args: []string{"-crf", "20"}, FPS: 12.5, OutputFile: filepath.Join(t.TempDir(), "new", "v.mp4"),
	}
	if err := c.run(t.Context(), env, "linux"); err != nil {
		t.Fatal(err)
	}
	want := "pid=N > -hide_banner -y -r 12.5 -pattern_type glob -i " + c.InputGlob + " -crf 20 -r 12.5 " + c.OutputFile + "\n"
	if !strings.HasSuffix(r.text(), want) {
		t.Errorf("on Unix: %s\nwant %s", r.text(), want)
	}
	if _, err := os.Stat(filepath.Dir(c.OutputFile)); err != nil {
		t.Error(err)
	}

	r.log = nil
	if err := c.run(t.Context(), env, "windows"); err != nil {
		t.Fatal(err)
	}
	index := filepath.Join(frames, "ffmpeg-file-index.txt")
	want = "pid=N > -hide_banner -y -f concat -safe 0 -i " + index + " -crf 20 -r 12.5 " + c.OutputFile + "\n" +
		"pid=N > file '" + frames + "/a1.png'\npid=N > duration 0.080000000\n" +
		"pid=N > file '" + frames + `/b'\''2.png'` + "\npid=N > duration 0.080000000\n"
	if !strings.Contains(r.text(), want) {
		t.Errorf("on Windows: %s\nwant %s", r.text(), want)
	}
	if _, err := os.Stat(index); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the list is still there: %v", err)
	}
}

func TestFFmpegsProgressIsCountedInFrames(t *testing.T) {
	t.Parallel()
	env, r := newEnv(t)
	ffmpeg := script(t, "my-ffmpeg", `printf 'frame=    5 fps=0.0 q=-1.0\rframe=    5 fps=0.0\rframe=   12 fps= 12 q=-1.0 Lsize= 3kB\n'; echo 'keyframe=99'; echo 'frame=many'`)
	err := run(t, env, 24, NameFramesToVideo, map[string]any{
		"exe": ffmpeg, "fps": 24.0, "inputGlob": "*.png", "outputFile": filepath.Join(t.TempDir(), "v.mp4"),
	})
	if err != nil || r.steps != 12 {
		t.Errorf("%d steps of 12 frames, %v\n%s", r.steps, err, r.text())
	}
}

func TestRealFFmpegMakesTheSameVideoEitherWay(t *testing.T) {
	t.Parallel()
	frames := filepath.Join(t.TempDir(), "it's frames")
	if err := os.Mkdir(frames, 0o755); err != nil {
		t.Fatal(err)
	}
	env, r := newEnv(t)
	err := run(t, env, 0, NameExec, map[string]any{"exe": "ffmpeg", "args": []any{
		"-f", "lavfi", "-i", "testsrc=size=64x64:rate=10", "-frames:v", 12.0, filepath.Join(frames, "f-%04d.png"),
	}})
	if err != nil {
		t.Fatalf("%v\n%s", err, r.text())
	}
	for _, system := range []string{"linux", "windows"} {
		video := filepath.Join(t.TempDir(), "v.mkv")
		c := FramesToVideo{
			Exe: "ffmpeg", ArgsBefore: []string{"-y"}, InputGlob: filepath.Join(frames, "*.png"),
			Args: []string{"-c:v", "mpeg4"}, FPS: 10, OutputFile: video,
		}
		env, r := newEnv(t)
		if err := c.run(t.Context(), env, system); err != nil {
			t.Fatalf("%s: %v\n%s", system, err, r.text())
		}
		env, r = newEnv(t)
		err := run(t, env, 0, NameExec, map[string]any{"exe": "ffprobe", "args": []any{
			"-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,r_frame_rate", "-of", "csv=p=0", video,
		}})
		if err != nil || !strings.Contains(r.text(), "> 10/1,12\n") {
			t.Errorf("%s: %v\n%s", system, err, r.text())
		}
	}
}

func TestTheFFmpegBesideTheWorkerGoesFirst(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	tools := filepath.Join(folder, "tools")
	if err := os.MkdirAll(tools, 0o755); err != nil {
		t.Fatal(err)
	}
	inPath, err := FindFFmpeg("ffmpeg", folder)
	if err != nil || !filepath.IsAbs(inPath) || strings.HasPrefix(inPath, folder) {
		t.Fatalf("in PATH: %q, %v", inPath, err)
	}
	// From the last choice to the first.
	for _, name := range []string{"ffmpeg", "ffmpeg-" + runtime.GOOS, "ffmpeg-" + runtime.GOOS + "-" + runtime.GOARCH} {
		path := filepath.Join(tools, name)
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, exe := range []string{"ffmpeg", "ffmpeg.exe"} {
			if got, err := FindFFmpeg(exe, folder); got != path || err != nil {
				t.Errorf("%s: got %q, %v, want %q", exe, got, err, path)
			}
		}
	}
	if got, err := FindFFmpeg("/opt/ffmpeg", folder); got != "/opt/ffmpeg" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}
