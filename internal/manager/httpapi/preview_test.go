// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/preview"
	"flamenco.farm/pkg/api"
)

// frame is a JPEG of one grey.
func frame(w, h int, grey uint8) string {
	m := image.NewGray(image.Rect(0, 0, w, h))
	draw.Draw(m, m.Rect, image.NewUniform(color.Gray{Y: grey}), image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		panic(err)
	}
	return b.String()
}

func outputOf(taskID string) string { return "/api/v3/worker/task/" + taskID + "/output-produced" }

// picture is a request that brings one.
func picture(w *worker, taskID string, assignment map[string]string, kind, body string) request {
	return request{method: "POST", path: outputOf(taskID), as: w, body: body, header: with(assignment, "Content-Type", kind)}
}

// awaitPicture waits until one is stored and returns its job.
func (s *server) awaitPicture() string {
	s.t.Helper()
	select {
	case jobID := <-s.pictured:
		return jobID
	case <-time.After(3 * time.Minute):
		s.t.Fatal("no picture was stored")
		return ""
	}
}

func TestAPictureOfAWorkerIsShownForItsJobAndForTheFarm(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	w := s.register("w")
	task, assignment := s.claim(w)
	ofJob, ofFarm := "/api/v3/jobs/"+job.ID+"/last-rendered", "/api/v3/jobs/last-rendered"
	s.want(204, request{method: "GET", path: ofJob})
	s.want(204, request{method: "GET", path: ofFarm})

	s.want(202, picture(w, task.UUID, assignment, "image/jpeg", frame(1940, 40, 100)))
	if got := s.awaitPicture(); got != job.ID {
		t.Fatalf("a picture of job %s", got)
	}
	info := decode[api.JobLastRenderedImageInfo](t, s.want(200, request{method: "GET", path: ofJob}))
	want := api.JobLastRenderedImageInfo{
		Base: "/job-files/job-" + job.ID[:4] + "/" + job.ID, Suffixes: []string{"last-rendered.jpg", "last-rendered-small.jpg", "last-rendered-tiny.jpg"},
	}
	if diff := cmp.Diff(want, info); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, decode[api.JobLastRenderedImageInfo](t, s.want(200, request{method: "GET", path: ofFarm}))); diff != "" {
		t.Errorf("of the farm (-want +got):\n%s", diff)
	}
	for i, size := range []image.Point{{1920, 40}, {600, 13}, {200, 4}} {
		a := s.want(200, request{method: "GET", path: info.Base + "/" + info.Suffixes[i]})
		config, err := jpeg.DecodeConfig(strings.NewReader(a.body))
		if err != nil || config.Width != size.X || config.Height != size.Y || a.header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("%s is %s of %d × %d: %v", info.Suffixes[i], a.header.Get("Content-Type"), config.Width, config.Height, err)
		}
	}
}

func TestABrowserIsToldWhenThereIsANewerPictureAndOnlyThen(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job := s.submit("1")
	w := s.register("w")
	task, assignment := s.claim(w)
	send := func(grey uint8) {
		s.want(202, picture(w, task.UUID, assignment, "image/jpeg", frame(64, 64, grey)))
		s.awaitPicture()
	}
	send(100)
	tiny := request{method: "GET", path: "/job-files/job-" + job.ID[:4] + "/" + job.ID + "/last-rendered-tiny.jpg"}
	first := s.want(200, tiny)
	tiny.header = map[string]string{"If-None-Match": first.header.Get("ETag")}
	s.want(304, tiny)
	send(101) // in the same second, perhaps of the same length
	if again := s.want(200, tiny); again.body == first.body || again.header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the new picture is the old one, or kept by browsers: %v", again.header)
	}
}

func TestEveryWrongPictureHasItsAnswer(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.submit("1")
	w, other := s.register("w"), s.register("other")
	task, assignment := s.claim(w)
	stale := map[string]string{"X-Flamenco-Assignment": nobody}
	large := strings.Repeat("x", preview.MaxSize+1)
	for name, c := range map[string]struct {
		status int
		request
	}{
		"no image at all":           {202, picture(w, task.UUID, assignment, "image/png", "rubbish")},
		"the largest":               {202, picture(w, task.UUID, assignment, "image/tiff", large[1:])},
		"a parameter of the type":   {202, picture(w, task.UUID, assignment, "image/webp; q=1", "x")},
		"a Worker of Flamenco 3":    {202, picture(&worker{id: w.id, secret: w.secret}, task.UUID, nil, "image/jpeg", "x")},
		"an odd id":                 {400, picture(w, "nonsense", assignment, "image/jpeg", "x")},
		"no credentials":            {403, picture(nil, task.UUID, assignment, "image/jpeg", "x")},
		"a wrong secret":            {403, picture(&worker{id: w.id, secret: "guessed"}, task.UUID, assignment, "image/jpeg", "x")},
		"an unknown task":           {404, picture(w, nobody, assignment, "image/jpeg", "x")},
		"another Worker":            {409, picture(other, task.UUID, nil, "image/jpeg", "x")},
		"an assignment of the past": {409, picture(w, task.UUID, stale, "image/jpeg", "x")},
		"nothing":                   {411, picture(w, task.UUID, assignment, "image/jpeg", "")},
		"too much":                  {413, picture(w, task.UUID, assignment, "image/jpeg", large)},
		"JSON":                      {415, picture(w, task.UUID, assignment, "application/json", "{}")},
		"another type":              {415, picture(w, task.UUID, assignment, "image/gif", "x")},
		"an odd type":               {415, picture(w, task.UUID, assignment, ";", "x")},
	} {
		a := s.do(c.request)
		if a.status != c.status {
			t.Errorf("%s: %d, want %d: %s", name, a.status, c.status, a.body)
		}
		if a.status >= 400 && a.status != 403 && decode[api.Error](t, a).Code != int32(c.status) {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	s.want(202, picture(w, task.UUID, assignment, "image/jpeg", frame(8, 8, 8)))
	s.awaitPicture()
}

func TestAPictureWithoutALengthIsRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.submit("1")
	w := s.register("w")
	task, _ := s.claim(w)
	body := io.MultiReader(strings.NewReader("of unknown length")) // net/http sends it in chunks
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+outputOf(task.UUID), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "image/jpeg")
	req.SetBasicAuth(w.id, w.secret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusLengthRequired {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestAPictureOfATaskThatHasJustEndedIsShown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.submit("1")
	w := s.register("w")
	task, assignment := s.claim(w)
	s.want(204, request{method: "POST", path: "/api/v3/worker/task/" + task.UUID, as: w, header: assignment, body: `{"taskStatus":"completed"}`})
	s.want(202, picture(w, task.UUID, assignment, "image/jpeg", frame(8, 8, 8)))
	s.awaitPicture()
}

func TestAQueueThatIsFullSaysSo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 5 {
		s.submit("1")
	}
	var slow []net.Conn
	for i := range 5 { // one more than may come in at once
		w := s.register(strings.Repeat("w", i+1))
		task, assignment := s.claim(w)
		if i == 4 {
			s.want(429, picture(w, task.UUID, assignment, "image/jpeg", frame(8, 8, 8)))
			break
		}
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		slow = append(slow, conn)
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.url+outputOf(task.UUID), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth(w.id, w.secret)
		req.Header.Set("Content-Type", "image/jpeg")
		req.Header.Set("Expect", "100-continue")
		var head bytes.Buffer
		if err := req.Write(&head); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(head.Bytes()[:head.Len()-1]); err != nil {
			t.Fatal(err)
		}
		// "100 Continue" says that the Manager has begun to read the picture.
		if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, conn := range slow {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, len("HTTP/1.1 202"))
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 202" {
			t.Errorf("%s, %v", answer, err)
		}
	}
}

func TestThePictureOfAnUnknownJobIsNone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.want(204, request{method: "GET", path: "/api/v3/jobs/" + nobody + "/last-rendered"})
	s.want(400, request{method: "GET", path: "/api/v3/jobs/nonsense/last-rendered"})
}
