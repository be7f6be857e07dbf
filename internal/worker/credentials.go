// SPDX-License-Identifier: GPL-3.0-or-later

package worker

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

const credentialsFile = "flamenco-worker-credentials.yaml"

// credentials is who the Worker is. The secret was chosen by the Worker.
type credentials struct {
	ID     string `yaml:"worker_id"`
	Secret string `yaml:"worker_secret"`
}

func (c credentials) known() bool { return c.ID != "" && c.Secret != "" }

func newSecret() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails: the program ends before
	return hex.EncodeToString(secret)
}

// loadCredentials reads who the Worker is; no file and an empty one mean that it was never registered.
func loadCredentials(home string) (credentials, error) {
	var c credentials
	path := filepath.Join(home, credentialsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the credentials: %w", err)
	}
	if err := yaml.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the credentials %s: %w", path, err)
	}
	return c, nil
}

// save writes the credentials so that a crash leaves either the old file or the new one.
func (c credentials) save(home string) error {
	text, err := yaml.Marshal(c)
	if err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	path := filepath.Join(home, credentialsFile)
	if err := writeSynced(path+"~", text); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		return fmt.Errorf("write the credentials: %w", err)
	}
	return nil
}

func writeSynced(path string, text []byte) error {
	_ = os.Remove(path) // a left-over could have wider permissions
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Sync(), file.Close())
}
