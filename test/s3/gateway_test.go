// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"flamenco.farm/internal/blob/s3"
)

const (
	accessKey = "flamenco"
	secretKey = "a secret of the tests"
)

// endpoint is where the gateway is that all tests share: there may be one in a process.
var endpoint string

// startGateway starts an S3 server on a free port, and returns what ends it.
func startGateway(folder string) (stop func(), err error) {
	files := filepath.Join(folder, "files")
	if err := os.Mkdir(files, 0o700); err != nil {
		return nil, err
	}
	backend, err := posix.New(files, meta.XattrMeta{}, posix.PosixOpts{})
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
			RootUserAccess: accessKey, RootUserSecret: secretKey, Region: "test-region", Ports: []string{address},
			MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 10_000, KeepAlive: true, Quiet: true,
		})
	}()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			fmt.Fprintln(os.Stderr, "the gateway ended with", err)
		}
	}
	endpoint = "http://" + address
	for range 300 {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return stop, c.Close()
		}
		select {
		case err := <-done:
			return nil, fmt.Errorf("the gateway ended: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
	stop()
	return nil, fmt.Errorf("the gateway does not answer")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// newBucket makes a bucket of the test's own.
func newBucket(t testing.TB) s3.Options {
	t.Helper()
	bucket := "b-" + strings.ToLower(rand.Text()[:20])
	opts := s3.Options{Endpoint: endpoint, Region: "test-region", Bucket: bucket, Prefix: "farm", AccessKey: accessKey, SecretKey: secretKey}
	if _, err := clientOf(opts).CreateBucket(t.Context(), &awss3.CreateBucketInput{Bucket: &bucket}); err != nil {
		t.Fatal(err)
	}
	return opts
}

// clientOf does what a Store does not.
func clientOf(opts s3.Options) *awss3.Client {
	return awss3.New(awss3.Options{
		Region: opts.Region, BaseEndpoint: &endpoint, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}, nil
		}),
	})
}

// newStore is an empty place for files.
func newStore(t testing.TB) *s3.Store { return storeOf(t, newBucket(t)) }

func storeOf(t testing.TB, opts s3.Options) *s3.Store {
	t.Helper()
	store := s3.New(opts)
	t.Cleanup(func() { store.Close() })
	return store
}
