// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(withGateway(m)) }

func withGateway(m *testing.M) int {
	folder, err := os.MkdirTemp("", "flamenco-s3-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	stop, err := startGateway(folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stop()
	return m.Run()
}
