// SPDX-License-Identifier: GPL-3.0-or-later

package blender

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

const (
	// runTime is how long a program may take to say its version. Blender from a network folder takes seconds.
	runTime = 10 * time.Second
	// outputLimit is how much of what it prints is looked at, in bytes.
	outputLimit = 64 << 10
	// pipeTime is how long its output may stay open after it ended.
	pipeTime = time.Second
)

// versionOf runs a program with --version; nothing of it is left afterwards.
func versionOf(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	output := &head{limit: outputLimit}
	cmd := exec.CommandContext(ctx, path, "--version")
	cmd.Env = withoutSecrets(os.Environ())
	cmd.Stdout = output
	cmd.WaitDelay = pipeTime
	err := runAlone(cmd)
	if version := versionIn(output.text.Bytes()); version != "" && (err == nil || errors.Is(err, exec.ErrWaitDelay)) {
		return version, nil
	}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "", fmt.Errorf("it did not say its version within %s", runTime)
	case err != nil:
		return "", fmt.Errorf("it cannot be run: %w", err)
	}
	return "", errors.New("it is not Blender: it does not say its version as Blender does")
}

// versionIn is the first line that begins as Blender's version does.
func versionIn(output []byte) string {
	lines := bufio.NewScanner(bytes.NewReader(output))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "Blender ") {
			return strings.ToValidUTF8(line, "?")
		}
	}
	return ""
}

// withoutSecrets is the environment without the Manager's own settings, some of which are passwords.
func withoutSecrets(env []string) []string {
	return slices.DeleteFunc(env, func(pair string) bool { return strings.HasPrefix(pair, "FLAMENCO_") })
}

// head keeps the first bytes written to it, and takes the rest.
type head struct {
	text  bytes.Buffer
	limit int
}

func (h *head) Write(p []byte) (int, error) {
	h.text.Write(p[:min(len(p), h.limit-h.text.Len())])
	return len(p), nil
}
