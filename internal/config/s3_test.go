// SPDX-License-Identifier: GPL-3.0-or-later

package config_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/farm"
)

func TestABucketNeedsItsSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, want string }{
		{"files: tape", "is none of file, s3"},
		{"files: s3", "s3.bucket: must be set"},
		{"files: s3\ns3: {bucket: studio, access_key: KEY}", "FLAMENCO_MANAGER_S3__SECRET_KEY"},
		{"s3: {bucket: a/b}", "s3.bucket"},
		{"s3: {bucket: ..}", "s3.bucket"},
		{"s3: {endpoint: localhost}", "s3.endpoint"},
		{"s3: {endpoint: 'https://KEY:hunter2@s3.example.com'}", "must not hold a user or a password"},
		{"s3: {endpoint: 'https://s3.example.com/studio'}", "must not hold a path"},
		{"s3: {prefix: ../other}", "s3.prefix"},
		{"s3: {region: ''}", "s3.region"},
	} {
		_, _, err := load(t, c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", c.file, err)
		}
	}
	cfg, _, err := load(t, "files: s3\ns3: {bucket: studio, access_key: KEY}", "FLAMENCO_MANAGER_S3__SECRET_KEY=hidden")
	if err != nil || cfg.S3.SecretKey != "hidden" {
		t.Errorf("the key is %q, %v", cfg.S3.SecretKey, err)
	}
}

func TestTheKeyOfABucketIsNotShownAndStays(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), config.FileName)
	if err := os.WriteFile(path, []byte("files: s3\ns3: {bucket: studio, access_key: KEY, secret_key: hidden}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := config.Open(config.Sources{Path: path, ExecutableDir: t.TempDir()}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	doc := live.Document()
	section, _ := doc["s3"].(map[string]any)
	if section["secret_key"] != config.Mask {
		t.Errorf("shown is %v", section["secret_key"])
	}
	section["bucket"] = "other"
	if _, err := live.Replace(doc); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), "secret_key: hidden") || !strings.Contains(string(text), "bucket: other") {
		t.Errorf("the file is %s, %v", text, err)
	}
	section["bucket"] = ""
	if _, err := live.Replace(doc); farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), "s3.bucket") {
		t.Errorf("without a bucket: %v", err)
	}
}
