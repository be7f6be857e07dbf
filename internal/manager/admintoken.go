// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"flamenco.farm/internal/auth"
)

// adminTokenFile is where the Manager writes the token of this start, in its local storage.
const adminTokenFile = "admin.token"

// writeAdminToken writes the token where only the Manager's own user can read it.
func writeAdminToken(local *os.Root, token auth.AdminToken) error {
	if err := writePrivate(local, adminTokenFile, token.Reveal()+"\n"); err != nil {
		return fmt.Errorf("writing %s: %w", adminTokenFile, err)
	}
	return nil
}

// writePrivate writes a file whole or not at all, with a mode that only its owner can read.
func writePrivate(folder *os.Root, name, text string) error {
	temporary := name + "~"
	if err := folder.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	file, err := folder.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, text)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return folder.Rename(temporary, name)
}

// readAdminToken reads the token of the Manager that runs.
func readAdminToken(localStorage string) (string, error) {
	path := filepath.Join(localStorage, adminTokenFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading the admin token of the Manager, which only the user that runs it may do: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
