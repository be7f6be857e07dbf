// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Files says where files are kept.
type Files string

// In the local and the shared storage, or in a bucket.
const (
	FilesLocal Files = "file"
	FilesS3    Files = "s3"
)

// S3 says in which bucket files are kept, and with which key.
type S3 struct {
	Endpoint  string // "" = Amazon's
	Region    string
	Bucket    string
	Prefix    string // of the names of all objects
	AccessKey string
	SecretKey string
}

// checkFiles is everything that is missing for files to be kept as is said.
func (c Config) checkFiles() (problems []error) {
	if c.Files != FilesS3 {
		return nil
	}
	for _, needed := range []struct{ key, value string }{
		{"s3.bucket", c.S3.Bucket}, {"s3.access_key", c.S3.AccessKey}, {"s3.secret_key", c.S3.SecretKey},
	} {
		if needed.value == "" {
			problems = append(problems, fmt.Errorf("%s: must be set where files is s3; the environment variable is %s", needed.key, EnvName(needed.key)))
		}
	}
	return problems
}

// serverAddress keeps the secret out of what everybody may see.
func serverAddress(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("is not an address such as https://s3.example.com:9000")
	case u.User != nil:
		return errors.New("must not hold a user or a password, which have settings of their own")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must not hold a path; the bucket has a setting of its own")
	}
	return nil
}

// bucketName refuses what no bucket can be called, or what would lead elsewhere.
func bucketName(text string) error {
	if text == "" {
		return nil
	}
	if len(text) < 3 || len(text) > 63 || strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") != "" {
		return fmt.Errorf("%q is not the name of a bucket: 3 to 63 letters, digits, dots and hyphens", text)
	}
	return nil
}

// maxPrefix leaves enough of the 1024 bytes that the name of an object may have.
const maxPrefix = 256

func objectPrefix(text string) error {
	if len(text) > maxPrefix {
		return fmt.Errorf("is longer than %d bytes", maxPrefix)
	}
	for part := range strings.SplitSeq(strings.Trim(text, "/"), "/") {
		if text != "" && (part == "" || part == "." || part == "..") || strings.ContainsAny(part, "\\\x00") {
			return fmt.Errorf("%q is not the name of a folder such as farms/studio", text)
		}
	}
	return nil
}
