// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const lockFile = "flamenco-worker.lock"

// lockHome keeps a second Worker off the same home. The operating system frees the lock however the Worker ends.
func lockHome(home string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(home, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the Worker's home: %w", err)
	}
	if err := tryLock(file); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("another Worker%s is using %s (give each Worker its own folder with FLAMENCO_HOME): %w",
			holder(home), home, err)
	}
	// For the message above only; the lock itself is what counts.
	if err := os.WriteFile(filepath.Join(home, lockFile+".pid"), fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock the Worker's home: %w", err)
	}
	return file, nil
}

func holder(home string) string {
	text, err := os.ReadFile(filepath.Join(home, lockFile+".pid"))
	if err != nil {
		return ""
	}
	return " (process " + strings.TrimSpace(string(text)) + ")"
}
