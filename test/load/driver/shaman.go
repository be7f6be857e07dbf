// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"time"

	"flamenco.farm/test/load/measure"
)

// Shaman is somebody who uploads files and makes checkouts of them.
type Shaman struct {
	Farm
	Files    int // in a checkout
	Size     int // of each file, in bytes
	Rounds   int // 0 = until the time is over
	Duration time.Duration
}

type shamanFile struct {
	SHA    string `json:"sha"`
	Size   int    `json:"size"`
	Path   string `json:"path"`
	Status string `json:"status,omitempty"`
	data   []byte
}

// Run uploads new files and checks them out, round after round.
func (s Shaman) Run(ctx context.Context) (*measure.Report, error) {
	watch, err := measure.StartWatch(s.PIDs)
	if err != nil {
		return nil, err
	}
	p, rec := s.person(), measure.NewRecorder()
	start := time.Now()
	rounds := 0
	for (s.Rounds == 0 || rounds < s.Rounds) && time.Since(start) < s.Duration && ctx.Err() == nil {
		if err := s.round(ctx, p, rec); err != nil {
			return nil, err
		}
		rounds++
	}
	took := time.Since(start)
	uploaded := float64(rec.Calls()["upload"].N)
	report := &measure.Report{What: "shaman", Managers: s.names(), Rate: uploaded / took.Seconds()}
	report.Finish(rec, took)
	report.Figures = map[string]float64{"mib_per_s": uploaded * float64(s.Size) / (1 << 20) / took.Seconds()}
	report.Servers, err = watch.Stop()
	return report, err
}

func (s Shaman) round(ctx context.Context, p *Person, rec *measure.Recorder) error {
	files := make([]shamanFile, s.Files)
	for i := range files {
		data := make([]byte, s.Size)
		rand.Read(data)
		sum := sha256.Sum256(data)
		files[i] = shamanFile{SHA: hex.EncodeToString(sum[:]), Size: s.Size, Path: fmt.Sprintf("file-%d.blend", i+1), data: data}
	}
	start := time.Now()
	if _, err := p.Call(ctx, http.MethodPost, "/shaman/checkout/requirements", map[string]any{"files": files}); err != nil {
		return err
	}
	rec.Took("requirements", time.Since(start))
	for _, f := range files {
		start := time.Now()
		response, err := p.open(ctx, http.MethodPost, fmt.Sprintf("/shaman/files/%s/%d", f.SHA, f.Size), "application/octet-stream", bytes.NewReader(f.data))
		if err != nil {
			return err
		}
		if err := response.Body.Close(); err != nil {
			return err
		}
		if response.StatusCode >= 300 {
			rec.Status("upload", response.StatusCode)
			continue
		}
		rec.Took("upload", time.Since(start))
	}
	start = time.Now()
	_, err := p.Call(ctx, http.MethodPost, "/shaman/checkout/create", map[string]any{"files": files, "checkoutPath": "bench-" + rand.Text()})
	if err != nil {
		return err
	}
	rec.Took("checkout", time.Since(start))
	return nil
}
