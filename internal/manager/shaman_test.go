// SPDX-License-Identifier: GPL-3.0-or-later

package manager_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager"
)

// oldUpload puts a file into the store of uploads that nobody has used for a year, and returns where it is.
func oldUpload(t *testing.T, cfg config.Config, content string) string {
	t.Helper()
	hash := sha256.Sum256([]byte(content))
	sum := hex.EncodeToString(hash[:])
	path := filepath.Join(cfg.SharedStorage, "file-store", "stored", sum[:2], sum[2:], fmt.Sprintf("%d.blob", len(content)))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	year := time.Now().Add(-365 * 24 * time.Hour)
	if err := os.Chtimes(path, year, year); err != nil {
		t.Fatal(err)
	}
	return path
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestUnusedUploadsAreCollectedByAnOperation(t *testing.T) {
	t.Parallel()
	a, _ := startAPI(t, configured(t))
	unused, used := oldUpload(t, a.cfg, "unused"), oldUpload(t, a.cfg, "used by a checkout")
	link := filepath.Join(a.checkoutFolder(a.checkout("film")), "scene.blend")
	target, err := filepath.Rel(filepath.Dir(link), used)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	a.start("shaman-gc", `{"dry_run":true}`)
	o := a.operations(1)[0]
	if o.Status != "completed" || !strings.Contains(o.Activity, "stored: 2 ") || !strings.Contains(o.Activity, "unused and to be deleted: 1 ") {
		t.Errorf("%+v", o)
	}
	if !isThere(unused) {
		t.Fatal("a dry run has deleted something")
	}
	a.start("shaman-gc", `{}`)
	for _, o := range a.operations(2) {
		if o.Status != "completed" {
			t.Errorf("%+v", o)
		}
	}
	if isThere(unused) || !isThere(used) {
		t.Errorf("unused %v, used %v", isThere(unused), isThere(used))
	}
}

// What wranglers have in their scripts works as well as the subcommand.
func TestUploadsAreCollectedFromTheCommandLine(t *testing.T) {
	t.Parallel()
	path, cfg := onDisk(t)
	url, stop := start(t, cfg)
	_ = url
	if err := stop(); err != nil { // leaves a database
		t.Fatal(err)
	}
	unused := oldUpload(t, cfg, "unused")
	for _, args := range [][]string{{"shaman", "gc", "-dry-run", "-config", path}, {"-shaman-gc-show", "-config", path}} {
		if code := manager.Main(t.Context(), args, nil); code != 0 || !isThere(unused) {
			t.Errorf("%v: exit code %d, the file is there: %v", args, code, isThere(unused))
		}
	}
	if code := manager.Main(t.Context(), []string{"-config", path, "-shaman-gc-delete"}, nil); code != 0 || isThere(unused) {
		t.Errorf("exit code %d, the file is there: %v", code, isThere(unused))
	}
}
