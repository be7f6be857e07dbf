// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

var created = time.Date(2026, 11, 23, 10, 20, 30, 0, time.UTC)

// golden compares v as JSON with a file. The Manager's local time in it depends on the machine, and is replaced.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	local := created.Local().Format("2006-01-02_150405")
	text := strings.ReplaceAll(string(got), local, "LOCAL-TIME") + "\n"
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", file, diff)
	}
}

func renderSettings(changes map[string]any) map[string]any {
	settings := map[string]any{
		"frames": "1-5, 8..9,20", "chunk_size": 4.0, "render_output_root": `R:\renders`, "add_path_components": 1.0,
		"render_output_path": "/renders/shots/a job/{timestamp}/######", "blendfile": "/project/shots/010.flamenco.blend",
		"fps": 24.0, "format": "PNG", "image_file_extension": ".png", "has_previews": false, "scene": "Main",
	}
	for key, value := range changes {
		if value == nil {
			delete(settings, key)
		} else {
			settings[key] = value
		}
	}
	return settings
}

func renderJob(changes map[string]any) Submission {
	return Submission{
		Name: "a job", Type: "simple-blender-render", Priority: 60, Settings: renderSettings(changes), Created: created,
		JobID: "11111111-2222-4333-8444-555555555555", Metadata: map[string]string{"project": "Sprite Fright"},
		SubmitterPlatform: "linux", ShamanCheckoutID: "checkout", TagID: "tag", InitialStatus: farm.JobPaused,
	}
}

func TestBuiltInJobTypesAreDescribedAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, nil)
	types, err := s.Types(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "types.json", types)
}

func TestSimpleBlenderRenderCompilesAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	golden(t, "simple_blender_render.json", mustCompile(t, setupService(t, Options{}, nil), renderJob(nil)))
}

func TestEchoSleepTestCompilesAsInTheGoldenFile(t *testing.T) {
	t.Parallel()
	golden(t, "echo_sleep_test.json", mustCompile(t, setupService(t, Options{}, nil), Submission{
		Name: "a job", Type: "echo-sleep-test", Priority: 50, JobID: "11111111-2222-4333-8444-555555555555", Created: created,
		Settings: map[string]any{"message": "hello", "sleep_repeats": 2.0},
	}))
}

func TestThePreviewVideoIsMadeOnlyOfFramesThatFFmpegShowsWell(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, nil)
	for _, test := range []struct {
		name  string
		given map[string]any
		glob  string // "" = no video
	}{
		{"JPEG frames", map[string]any{"format": "JPEG", "image_file_extension": ".jpg"}, "*.jpg"},
		{"EXR frames without previews", map[string]any{"format": "OPEN_EXR", "image_file_extension": ".exr"}, ""},
		{"EXR frames with previews", map[string]any{"format": "OPEN_EXR_MULTILAYER", "has_previews": true}, "*.jpg"},
		{"no frame rate", map[string]any{"fps": nil}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			job := mustCompile(t, s, renderJob(test.given))
			last := job.Tasks[len(job.Tasks)-1]
			if test.glob == "" {
				if last.Type != "blender" {
					t.Fatalf("the last task is %s", last.Name)
				}
				return
			}
			glob, _ := last.Commands[0].Parameters["inputGlob"].(string)
			if last.Name != "preview-video" || !strings.HasSuffix(glob, "/"+test.glob) {
				t.Errorf("task %s takes %s", last.Name, glob)
			}
		})
	}
}

func TestSimpleBlenderRenderFindsAnOutputPathForThoseWhoSubmitWithoutBlender(t *testing.T) {
	t.Parallel()
	sub := renderJob(map[string]any{"render_output_path": nil})
	sub.Name = `shots/010\b`
	job := mustCompile(t, setupService(t, Options{}, nil), sub)
	want := "R:/renders/shots/shots-010-b/" + created.Local().Format("2006-01-02_150405") + "/######"
	if got := job.Settings["render_output_path"]; got != want {
		t.Errorf("render_output_path is %v, not %v", got, want)
	}
}

func TestSimpleBlenderRenderRefusesWhatCannotBeRendered(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, nil)
	for _, test := range []struct {
		name  string
		given map[string]any
		words []string
	}{
		{"a video format", map[string]any{"format": "FFMPEG"}, []string{"format", "FFMPEG", "simple_blender_render.js, line "}},
		{"an AVI format", map[string]any{"format": "AVI_JPEG"}, []string{"format", "AVI_JPEG"}},
		{"an empty frame range", map[string]any{"frames": " "}, []string{"frames", "empty"}},
		{"an invalid frame range", map[string]any{"frames": "1-x"}, []string{`"frames"`, `"x"`, "line "}},
		{"a reversed frame range", map[string]any{"frames": "9-1"}, []string{`"frames"`, "no frames"}},
		{"negative frames", map[string]any{"frames": "-5"}, []string{`"frames"`}},
		{"a chunk size of zero", map[string]any{"chunk_size": 0.0}, []string{"chunk_size", "at least 1"}},
		{"too many path components", map[string]any{"add_path_components": 33.0}, []string{"add_path_components", "at most 32"}},
		{"no blend file", map[string]any{"blendfile": nil}, []string{"blendfile", "missing"}},
		{"frames without end", map[string]any{"frames": "1-2000000000"}, []string{"frames", "chunks"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, s, renderJob(test.given), farm.CodeInvalid, test.words...)
		})
	}
}
