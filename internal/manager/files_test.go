// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"flamenco.farm/internal/blob/s3"
	"flamenco.farm/internal/config"
)

func TestTaskLogsInFilesAreLockedWhereThereMayBeSeveralManagers(t *testing.T) {
	t.Parallel()
	bucket := s3.New(s3.Options{Endpoint: "http://127.0.0.1:1", Region: "here", Bucket: "farm", AccessKey: "key", SecretKey: "secret"})
	t.Cleanup(func() { bucket.Close() })
	for _, c := range []struct {
		name, database string
		bucket         *s3.Store
		locks          bool
	}{
		{"files", "flamenco.sqlite", nil, false},
		{"files of several", "postgres://farm/flamenco", nil, true},
		{"files from before", "flamenco.sqlite", bucket, false},
		{"files from before of several", "postgres://farm/flamenco", bucket, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Config{LocalStorage: t.TempDir(), Database: c.database}
			logs, err := places{bucket: c.bucket}.taskLogs(cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { logs.Close() })
			_, err = os.Stat(filepath.Join(cfg.LocalStorage, "task-locks"))
			if locks := err == nil; locks != c.locks || !locks && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there are locks: %t, %v", locks, err)
			}
		})
	}
}
