// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/blob/blobtest"
	"flamenco.farm/internal/blob/s3"
	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman/shamantest"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/tasklog/logtest"
	"flamenco.farm/internal/testkit/fault"
)

func TestABucketIsAPlaceForFiles(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blob.Store { return newStore(t) })
}

func TestTaskLogsInABucket(t *testing.T) {
	t.Parallel()
	logtest.Run(t, func(t *testing.T) logtest.Open {
		blobs := newStore(t)
		return func(t *testing.T, maxSize int64) *tasklog.Store {
			t.Helper()
			store, err := tasklog.New(tasklog.Options{Blobs: blobs, Folder: t.TempDir(), MaxSize: maxSize})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { store.Close() })
			return store
		}
	})
}

func TestUploadedFilesInABucket(t *testing.T) {
	t.Parallel()
	shamantest.Run(t, func(t *testing.T) blob.Store { return newStore(t) })
}

func TestFarmsShareABucketByTheirPrefixes(t *testing.T) {
	t.Parallel()
	opts := newBucket(t)
	one := storeOf(t, opts)
	opts.Prefix = "farm2/"
	two := storeOf(t, opts)
	for _, s := range []*s3.Store{one, two} {
		if _, err := s.Create(t.Context(), "a/b", strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := blob.DeleteAll(t.Context(), one, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Stat(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
	opts.Prefix = ""
	var names []string
	for info, err := range storeOf(t, opts).List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	if len(names) != 1 || names[0] != "farm2/a/b" {
		t.Errorf("the bucket holds %q", names)
	}
}

func TestAListOfManyPagesIsWhole(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const n = 1100
	for i := range n {
		if _, err := s.Put(t.Context(), fmt.Sprintf("many/%04d", i), strings.NewReader("")); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for info, err := range s.List(t.Context(), "many") {
		if err != nil || info.Name != fmt.Sprintf("many/%04d", seen) {
			t.Fatalf("%d: %s, %v", seen, info.Name, err)
		}
		seen++
	}
	if seen != n {
		t.Errorf("%d names", seen)
	}
	if err := blob.DeleteAll(t.Context(), s, "many"); err != nil {
		t.Fatal(err)
	}
	for info := range s.List(t.Context(), "") {
		t.Fatalf("%s is left", info.Name)
	}
}

func TestTheCheckSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	good := newBucket(t)
	if err := storeOf(t, good).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for info := range storeOf(t, good).List(t.Context(), "") {
		t.Errorf("%s is left", info.Name)
	}
	for name, c := range map[string]struct {
		change func(*s3.Options)
		want   string
	}{
		"no bucket":     {func(o *s3.Options) { o.Bucket = "missing-" + o.Bucket }, "there is no bucket"},
		"wrong key":     {func(o *s3.Options) { o.AccessKey = "nobody" }, "s3.access_key"},
		"wrong secret":  {func(o *s3.Options) { o.SecretKey = "hunter2" }, "s3.secret_key"},
		"wrong region":  {func(o *s3.Options) { o.Region = "elsewhere" }, "s3.region"},
		"nobody there":  {func(o *s3.Options) { o.Endpoint = "http://127.0.0.1:1" }, "does not answer"},
		"no such host":  {func(o *s3.Options) { o.Endpoint = "http://s3.invalid:9000" }, "s3.endpoint"},
		"no S3 server":  {func(o *s3.Options) { o.Endpoint = serve(t, http.NotFound) }, "files cannot be kept on S3"},
		"unconditional": {func(o *s3.Options) { o.Endpoint = serve(t, acceptEverything) }, "no conditional writes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := good
			c.change(&opts)
			err := storeOf(t, opts).Check(t.Context())
			if err == nil || farm.CodeOf(err) != farm.CodeStorage {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), good.SecretKey) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("it says: %v", err)
			}
		})
	}
}

func serve(t *testing.T, answer http.HandlerFunc) string {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func acceptEverything(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodDelete {
		w.WriteHeader(http.StatusNoContent)
	}
}

func TestABodyIsStoredOverBadConnections(t *testing.T) {
	t.Parallel()
	opts := newBucket(t)
	bad := fault.New(t, strings.TrimPrefix(endpoint, "http://"), fault.Plan{Seed: 1, Cut: 100, Bytes: 800_000})
	opts.Endpoint = "http://" + bad.Address()
	s := storeOf(t, opts)
	content := bytes.Repeat([]byte("content "), 20_000)
	stored := 0
	for i := range 30 {
		name := fmt.Sprintf("f/%d", i)
		switch _, err := s.Create(t.Context(), name, bytes.NewReader(content)); {
		case err == nil, errors.Is(err, blob.ErrExist): // its own, the answer was lost
			stored++
			if info, err := storeOf(t, newOptions(opts)).Stat(t.Context(), name); err != nil || info.Size != int64(len(content)) {
				t.Errorf("%s: %+v, %v", name, info, err)
			}
		case farm.CodeOf(err) != farm.CodeStorage:
			t.Errorf("%s: %v", name, err)
		}
	}
	if stored < 15 || bad.Hurt() == 0 {
		t.Errorf("%d were stored, %d connections were cut", stored, bad.Hurt())
	}
}

func newOptions(opts s3.Options) s3.Options {
	opts.Endpoint = endpoint
	return opts
}

func TestPartsOfBrokenUploadsAreSweptAway(t *testing.T) {
	t.Parallel()
	opts := newBucket(t)
	s := storeOf(t, opts)
	client := clientOf(opts)
	for _, key := range []string{"farm/broken", "other/broken"} {
		if _, err := client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &opts.Bucket, Key: &key}); err != nil {
			t.Fatal(err)
		}
	}
	uploads := func() (keys []string) {
		t.Helper()
		out, err := client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &opts.Bucket})
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range out.Uploads {
			keys = append(keys, aws.ToString(u.Key))
		}
		return keys
	}
	if err := s.Sweep(t.Context(), time.Hour); err != nil || len(uploads()) != 2 {
		t.Errorf("too early: %q, %v", uploads(), err)
	}
	if err := s.Sweep(t.Context(), 0); err != nil || len(uploads()) != 1 || uploads()[0] != "other/broken" {
		t.Errorf("left are %q, %v", uploads(), err)
	}
}
