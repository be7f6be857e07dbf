// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package render_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // what the Manager serves
	_ "image/png"  // what Blender saves
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

// shot is a frame to render, and a blend file for it.
type shot struct {
	format, extension string
	previews          bool
	large             image.Point // of what is shown
}

func shots() []shot {
	return []shot{
		{"PNG", ".png", false, image.Point{1920, 1080}},
		{"OPEN_EXR", ".exr", true, image.Point{640, 360}},
		{"OPEN_EXR", ".exr", false, image.Point{640, 360}},
		{"OPEN_EXR_MULTILAYER", ".exr", false, image.Point{640, 360}},
	}
}

// sceneScript saves scenes whose frames are one strong colour.
const sceneScript = `
import bpy
scene = bpy.context.scene
scene.render.engine = 'CYCLES'
scene.cycles.samples = 1
scene.cycles.use_denoising = False
scene.view_settings.view_transform = 'Standard'
bpy.data.objects.remove(bpy.data.objects['Cube'])
scene.world.use_nodes = True
scene.world.node_tree.nodes['Background'].inputs[0].default_value = (0.8, 0.2, 0.05, 1)
def save(width, format, previews, path):
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, width * 9 // 16, 100
    scene.render.image_settings.file_format = format
    scene.render.image_settings.use_preview = previews
    bpy.ops.wm.save_as_mainfile(filepath=path)
`

// TestWhatWasRenderedLastIsShown renders a frame in each format; the Worker makes a picture of it, and the Manager three sizes.
func TestWhatWasRenderedLastIsShown(t *testing.T) {
	t.Parallel()
	f := startFarm(t, "blender")
	makeScenes(t, f.folder)
	var want [3]int
	for i, s := range shots() {
		jobID, frame := f.renderShot(t, i, s)
		if s.format == "PNG" {
			want = meanColour(t, decodeFile(t, frame))
		} else if _, err := os.Stat(strings.TrimSuffix(frame, ".exr") + ".jpg"); (err == nil) != s.previews {
			t.Errorf("%s with previews %v: Blender's own JPEG: %v", s.format, s.previews, err)
		}
		f.wantShown(t, jobID, s.large, want)
	}
}

func blendOf(folder string, i int) string {
	return filepath.Join(folder, fmt.Sprintf("shot-%d", i), "scene.blend")
}

func makeScenes(t *testing.T, folder string) {
	t.Helper()
	script := sceneScript
	for i, s := range shots() {
		if err := os.MkdirAll(filepath.Dir(blendOf(folder, i)), 0o755); err != nil {
			t.Fatal(err)
		}
		width, previews := s.large.X, "False"
		if s.format == "PNG" {
			width = 2048
		}
		if s.previews {
			previews = "True"
		}
		script += fmt.Sprintf("save(%d, %q, %s, %q)\n", width, s.format, previews, blendOf(folder, i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	said, err := exec.CommandContext(ctx, "blender", "-b", "--factory-startup", "--python-exit-code", "1", "--python-expr", script).CombinedOutput()
	if err != nil {
		t.Fatalf("make the scenes: %v\n%s", err, said)
	}
}

// renderShot renders one frame with real Blender and returns its path.
func (f *farm) renderShot(t *testing.T, i int, s shot) (jobID, frame string) {
	t.Helper()
	blend := blendOf(f.folder, i)
	folder := filepath.Dir(blend)
	jobType, err := f.JobType(t.Context(), "simple-blender-render")
	if err != nil {
		t.Fatal(err)
	}
	job, err := f.SubmitJob(t.Context(), api.SubmittedJob{
		Name: s.format, Type: jobType.Name, TypeEtag: &jobType.Etag, Priority: 50, SubmitterPlatform: "linux",
		Settings: api.JobSettings{
			"blendfile": blend, "frames": "1", "chunk_size": 1, "scene": "Scene", "format": s.format, "image_file_extension": s.extension,
			"has_previews": s.previews, "render_output_root": folder, "add_path_components": 0, "render_output_path": filepath.Join(folder, "######"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended, task := f.ends(t, job.ID, 2*limit)
	if ended.Status != api.JobStatusCompleted {
		var log bytes.Buffer
		_ = f.TaskLog(t.Context(), task.ID, &log) // it is only to explain
		t.Fatalf("%s: the job is %s: %s\n%s", s.format, ended.Status, task.Activity, &log)
	}
	return job.ID, filepath.Join(folder, "000001"+s.extension)
}

// wantShown waits for the picture of a job, which has to be the farm's newest, and looks at its sizes.
func (f *farm) wantShown(t *testing.T, jobID string, large image.Point, want [3]int) {
	t.Helper()
	var info api.JobLastRenderedImageInfo
	f.until(t, limit, "the job has a picture", func(ctx context.Context) (bool, error) {
		status, body, err := f.get(ctx, "/api/v3/jobs/"+jobID+"/last-rendered")
		if err != nil || status != http.StatusOK {
			return false, err
		}
		return true, json.Unmarshal(body, &info)
	})
	_, newest, err := f.get(t.Context(), "/api/v3/jobs/last-rendered")
	if err != nil || !bytes.Contains(newest, []byte(jobID)) {
		t.Errorf("the newest picture is %s, %v", newest, err)
	}
	for i, size := range []image.Point{large, {600, 338}, {199, 112}} {
		_, data, err := f.get(t.Context(), info.Base+"/"+info.Suffixes[i])
		if err != nil {
			t.Fatal(err)
		}
		shown, _, err := image.Decode(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := shown.Bounds().Size(); got != size {
			t.Errorf("%s is %v, want %v", info.Suffixes[i], got, size)
		}
		got := meanColour(t, shown)
		for c := range got {
			if max(got[c], want[c])-min(got[c], want[c]) > 12 {
				t.Errorf("%s is %v in the mean, the frame %v", info.Suffixes[i], got, want)
				break
			}
		}
	}
}

func (f *farm) get(ctx context.Context, path string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.address+path, nil)
	if err != nil {
		return 0, nil, err
	}
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func decodeFile(t *testing.T, path string) image.Image {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	decoded, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// meanColour is the mean of red, green and blue, 0 to 255 each.
func meanColour(t *testing.T, m image.Image) (mean [3]int) {
	t.Helper()
	var sum [3]uint64
	b := m.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			red, green, blue, _ := m.At(x, y).RGBA()
			sum[0], sum[1], sum[2] = sum[0]+uint64(red>>8), sum[1]+uint64(green>>8), sum[2]+uint64(blue>>8)
		}
	}
	for c := range sum {
		mean[c] = int(sum[c] / uint64(b.Dx()*b.Dy()))
	}
	return mean
}
