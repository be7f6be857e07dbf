// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"log/slog"
	"testing"
	"time"

	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/store"
	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/tasklog"
)

func TestPicturesAreKeptInABucket(t *testing.T) {
	t.Parallel()
	db, _ := storetest.SQLite(t, nil)
	blobs := newStore(t)
	stored := make(chan string, 1)
	s := preview.New(preview.Options{
		Log: slog.New(slog.DiscardHandler), Store: db, Files: blobs, Folder: tasklog.Folder, OnStored: func(jobID string, _ preview.Info) { stored <- jobID },
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}()
	var jobID string
	err := db.Do(t.Context(), func(tx *store.Tx) (err error) {
		jobID, err = tx.InsertJob(storetest.NewJob("job", storetest.NewTask("blender")))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 640, 360))); err != nil {
		t.Fatal(err)
	}
	if err := s.Take(jobID, &picture, int64(picture.Len())); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stored:
	case <-time.After(3 * time.Minute):
		t.Fatal("waited in vain")
	}
	n := 0
	for info, err := range blobs.List(t.Context(), tasklog.Folder(jobID)) {
		if err != nil || info.Size == 0 {
			t.Errorf("%+v, %v", info, err)
		}
		n++
	}
	if n != 3 {
		t.Errorf("%d pictures", n)
	}
}
