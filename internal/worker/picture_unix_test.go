// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package worker

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rendering is a task that saves an image as Blender does, then runs a script.
func rendering(t *testing.T, script string) (commands []map[string]any) {
	t.Helper()
	folder := t.TempDir()
	var frame bytes.Buffer
	if err := png.Encode(&frame, image.NewGray(image.Rect(0, 0, 320, 180))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "000001.png"), frame.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	blender := filepath.Join(folder, "blender")
	text := "#!/bin/sh\necho \"Saved: '" + filepath.Join(folder, "000001.png") + "'\"\n" + script + "\n"
	if err := os.WriteFile(blender, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return []map[string]any{cmd("blender-render", map[string]any{"exe": blender, "blendfile": "", "args": []string{}})}
}

func TestWhatBlenderSavesIsShownToTheManager(t *testing.T) {
	t.Parallel()
	for name, lease := range map[string]int{"ours": 60, "upstream": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, lease)
			f.give(fakeTask{id: "t", commands: rendering(t, "")})
			start(t, f.options(t))
			c := f.await(t, "output-produced", 1, nil)
			size, err := jpeg.DecodeConfig(strings.NewReader(c.body))
			if err != nil || size.Width != 320 || size.Height != 180 {
				t.Errorf("a picture of %d × %d: %v", size.Width, size.Height, err)
			}
			h := c.header
			if c.task != "t" || h.Get("Content-Type") != "image/jpeg" || h.Get("Content-Length") != strconv.Itoa(len(c.body)) || c.user == "" {
				t.Errorf("of task %s by %s with %v", c.task, c.user, h)
			}
			want := [2]string{}
			if lease > 0 {
				want = [2]string{"session-1", "assignment-of-t"}
			}
			if got := [2]string{h.Get(headerSession), h.Get(headerAssignment)}; got != want {
				t.Errorf("headers %v, want %v", got, want)
			}
			f.await(t, "update", 1, completed)
		})
	}
}

func TestAManagerThatTakesNoPicturesGetsItsFramesAllTheSame(t *testing.T) {
	t.Parallel()
	cut := func(http.ResponseWriter, fakeCall) bool { panic(http.ErrAbortHandler) }
	for name, answer := range map[string]func(http.ResponseWriter, fakeCall) bool{
		"400": fails(400), "403": fails(403), "404": fails(404), "409": fails(409), "413": fails(413), "500": fails(500), "501": fails(501), "cut off": cut,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, 60)
			f.on["output-produced"] = answer
			f.give(fakeTask{id: "1", commands: rendering(t, "")}, fakeTask{id: "2", commands: []map[string]any{echo("next")}})
			start(t, f.options(t))
			f.await(t, "output-produced", 1, nil)
			f.await(t, "update", 2, completed)
		})
	}
}

func TestAPictureIsSentAgainWhenTheManagerHasNoRoomForIt(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	f.on["output-produced"] = times(1, fails(429))
	f.give(fakeTask{id: "t", commands: rendering(t, "")})
	start(t, f.options(t))
	first, second := f.await(t, "output-produced", 1, nil), f.await(t, "output-produced", 2, nil)
	if first.body != second.body {
		t.Error("another picture came the second time")
	}
}

func TestAPictureThatNobodyTakesDoesNotHoldUpTheWorkersEnd(t *testing.T) {
	t.Parallel()
	f := newFake(t, 60)
	let := make(chan struct{})
	f.on["output-produced"] = func(http.ResponseWriter, fakeCall) bool {
		<-let
		return false
	}
	t.Cleanup(func() { close(let) }) // before the server is closed
	f.give(fakeTask{id: "t", commands: rendering(t, "")})
	stop := start(t, f.options(t))
	f.await(t, "output-produced", 1, nil)
	f.await(t, "update", 1, completed)
	within(t, "the Worker waits for a picture", func() { _ = stop() })
	f.await(t, "sign-off", 1, nil)
}
