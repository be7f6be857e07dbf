// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package httpapi_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestANamedPipeAmongTheJobFilesIsNotOpened(t *testing.T) {
	t.Parallel()
	s := setup(t)
	folder := filepath.Join(s.storage, "job-abcd")
	if err := os.MkdirAll(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(folder, "pipe.txt")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	release := time.AfterFunc(10*time.Second, func() {
		t.Error("the Manager waits for somebody to write into the pipe")
		if writer, err := os.OpenFile(pipe, os.O_RDWR, 0); err == nil {
			_ = writer.Close()
		}
	})
	defer release.Stop()
	s.want(404, request{method: "GET", path: "/job-files/job-abcd/pipe.txt"})
}
