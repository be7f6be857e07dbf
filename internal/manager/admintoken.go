// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"flamenco.farm/internal/auth"
)

// adminTokenFile is where the token is, in the local storage.
const adminTokenFile = "admin.token"

// adminToken is the token of a Manager, and what makes it known once the Manager has its address. A Manager that is alone
// has a new one with every start. Where there may be several, which may share their local storage, the token stays: it is
// made by the first, or brought there by whoever runs the farm.
func adminToken(local *os.Root, several bool) (token auth.AdminToken, publish func() error, err error) {
	if several {
		token, err = commonAdminToken(local)
		return token, func() error { return nil }, err
	}
	token = auth.NewAdminToken()
	return token, func() error { return writeAdminToken(local, token) }, nil
}

// commonAdminToken reads the token, or makes it if there is none. Of those who make one at the same time one wins.
func commonAdminToken(local *os.Root) (auth.AdminToken, error) {
	token, there, err := keptAdminToken(local)
	if there || err != nil {
		return token, err
	}
	temporary := adminTokenFile + "." + rand.Text()
	if err := writePrivate(local, temporary, auth.NewAdminToken().Reveal()+"\n"); err != nil {
		return auth.AdminToken{}, fmt.Errorf("writing %s: %w", adminTokenFile, err)
	}
	// Not every file system has links; there, and in place of what is no token, the last one wins.
	if err := local.Link(temporary, adminTokenFile); err != nil {
		if token, there, err := keptAdminToken(local); there || err != nil {
			return token, errors.Join(err, local.Remove(temporary))
		}
		if err := local.Rename(temporary, adminTokenFile); err != nil {
			return auth.AdminToken{}, fmt.Errorf("writing %s: %w", adminTokenFile, err)
		}
	} else if err := local.Remove(temporary); err != nil {
		return auth.AdminToken{}, fmt.Errorf("writing %s: %w", adminTokenFile, err)
	}
	if token, there, err = keptAdminToken(local); err == nil && !there {
		err = fmt.Errorf("%s was written, but is not there", adminTokenFile)
	}
	return token, err
}

// keptAdminToken is the token in the file; false if there is none.
func keptAdminToken(local *os.Root) (auth.AdminToken, bool, error) {
	text, err := local.ReadFile(adminTokenFile)
	if errors.Is(err, os.ErrNotExist) {
		return auth.AdminToken{}, false, nil
	}
	if err != nil {
		return auth.AdminToken{}, false, fmt.Errorf("reading %s: %w", adminTokenFile, err)
	}
	token, ok := auth.ParseAdminToken(strings.TrimSpace(string(text)))
	return token, ok, nil
}

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
