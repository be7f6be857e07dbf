// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"fmt"
	"os"
	"testing"

	"flamenco.farm/internal/jobtype"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/preview"
	"flamenco.farm/internal/worker/process"
)

// TestMain lets the test program be what a Manager and a Worker start, and starts the S3 server of all tests.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "__compile":
			os.Exit(jobtype.ChildMain(os.Stdin, os.Stdout))
		case manager.OperationArg:
			os.Exit(manager.OperationMain(os.Stdin, os.Stdout, os.Stderr, nil))
		case preview.ConvertArg:
			os.Exit(preview.ChildMain(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
		case process.ShimArgument:
			os.Exit(process.ShimMain())
		}
	}
	os.Exit(withGateway(m))
}

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
