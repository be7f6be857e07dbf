// SPDX-License-Identifier: GPL-3.0-or-later

// Package s3 keeps blobs as objects in a bucket of an S3 server, Amazon's or any other that knows conditional writes. It
// must not know what the files are for.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

const (
	dialTime    = 5 * time.Second
	answerTime  = 30 * time.Second // until the first byte of an answer
	stallTime   = time.Minute      // without a byte in either direction
	idleTime    = 30 * time.Second // less than servers usually keep a connection
	tries       = 5                // of each request, the first included
	retryPause  = 3 * time.Second  // between two of them at most
	connections = 64               // that are kept open
)

// DefaultRegion is what requests are signed for unless a region is given; most servers but Amazon's do not care.
const DefaultRegion = "us-east-1"

// Options says where the bucket is.
type Options struct {
	Endpoint  string // address of the server, "" = Amazon's for the region
	Region    string // "" = DefaultRegion
	Bucket    string
	Prefix    string // begins the names of all objects, "" = the bucket is ours alone
	AccessKey string
	SecretKey string
}

// Store is the objects of a bucket whose names begin with a prefix.
type Store struct {
	client *awss3.Client
	opts   Options
	closer func()
	large  chan struct{} // places for bodies that have to be held in memory in parts
}

var _ blob.Store = (*Store)(nil)

// New makes a Store; it asks the server nothing, see Check. Close frees its connections.
func New(opts Options) *Store {
	if opts.Region == "" {
		opts.Region = DefaultRegion
	}
	opts.Prefix = strings.Trim(opts.Prefix, "/")
	transport := newTransport()
	client := awss3.New(awss3.Options{
		Region: opts.Region, UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: opts.AccessKey, SecretAccessKey: opts.SecretKey, Source: "Flamenco"}, nil
		}),
		HTTPClient: &http.Client{
			Transport: transport,
			// A server that sends us elsewhere has another region or bucket in mind; its answer says which.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// Many servers know no trailing checksums; signatures cover the content anyway.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = tries, retryPause
		}),
	}, func(o *awss3.Options) {
		if opts.Endpoint != "" {
			o.BaseEndpoint = aws.String(opts.Endpoint)
		}
	})
	return &Store{client: client, opts: opts, closer: transport.CloseIdleConnections, large: make(chan struct{}, largeAtOnce)}
}

// Close frees the connections; nothing may be called after it.
func (s *Store) Close() error {
	s.closer()
	return nil
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: dialTime}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return stallConn{c}, nil
		},
		TLSHandshakeTimeout: 2 * dialTime, ResponseHeaderTimeout: answerTime, ExpectContinueTimeout: time.Second,
		IdleConnTimeout: idleTime, MaxIdleConns: connections, MaxIdleConnsPerHost: connections, ForceAttemptHTTP2: true,
	}
}

// stallConn is a connection that fails when nothing moves on it for a while, so that no transfer lasts for ever.
type stallConn struct{ net.Conn }

func (c stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stallTime)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// key is the name of an object in the bucket.
func (s *Store) key(name string) *string {
	if s.opts.Prefix == "" {
		return &name
	}
	return aws.String(s.opts.Prefix + "/" + name)
}

// Get implements blob.Store. The body is read from the server as it is asked for.
func (s *Store) Get(ctx context.Context, name string, offset, length int64) (io.ReadCloser, blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return nil, blob.Info{}, err
	}
	if offset < 0 {
		return nil, blob.Info{}, farm.Errorf(farm.CodeInvalid, "the offset %d is before the file", offset)
	}
	if length == 0 { // no range says so
		info, err := s.Stat(ctx, name)
		return io.NopCloser(strings.NewReader("")), info, err
	}
	input := &awss3.GetObjectInput{Bucket: &s.opts.Bucket, Key: s.key(name)}
	if offset > 0 || length > 0 {
		input.Range = aws.String(rangeOf(offset, length))
	}
	out, err := s.client.GetObject(ctx, input)
	if isStatus(err, http.StatusRequestedRangeNotSatisfiable) { // it begins behind the end
		info, err := s.Stat(ctx, name)
		return io.NopCloser(strings.NewReader("")), info, err
	}
	if err != nil {
		return nil, blob.Info{}, s.wrap(ctx, "reading", name, err)
	}
	info := blob.Info{Name: name, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}
	if _, total, ranged := strings.Cut(aws.ToString(out.ContentRange), "/"); ranged {
		if info.Size, err = strconv.ParseInt(total, 10, 64); err != nil {
			out.Body.Close()
			return nil, blob.Info{}, fmt.Errorf("blob: reading %s: the server answers with the range %q", name, *out.ContentRange)
		}
	}
	return &body{ReadCloser: out.Body, left: aws.ToInt64(out.ContentLength), wrap: func(err error) error { return s.wrap(ctx, "reading", name, err) }}, info, nil
}

func rangeOf(offset, length int64) string {
	if length < 0 {
		return fmt.Sprintf("bytes=%d-", offset)
	}
	return fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
}

// body is an answer that must not end too early.
type body struct {
	io.ReadCloser
	left int64
	wrap func(error) error
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		err = b.wrap(err)
	}
	return n, err
}

// Stat implements blob.Store.
func (s *Store) Stat(ctx context.Context, name string) (blob.Info, error) {
	if err := blob.CheckName(name); err != nil {
		return blob.Info{}, err
	}
	out, err := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: &s.opts.Bucket, Key: s.key(name)})
	if err != nil {
		return blob.Info{}, s.wrap(ctx, "reading", name, err)
	}
	return blob.Info{Name: name, Size: aws.ToInt64(out.ContentLength), Modified: aws.ToTime(out.LastModified)}, nil
}

// Delete implements blob.Store: many at a time in one request.
func (s *Store) Delete(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := blob.CheckName(name); err != nil {
			return err
		}
	}
	if len(names) == 1 {
		_, err := s.client.DeleteObject(ctx, &awss3.DeleteObjectInput{Bucket: &s.opts.Bucket, Key: s.key(names[0])})
		if err = s.wrap(ctx, "deleting", names[0], err); err != nil && !farm.IsNotExist(err) {
			return err
		}
		return nil
	}
	for len(names) > 0 {
		n := min(len(names), deleteAtOnce)
		if err := s.deleteMany(ctx, names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

// deleteAtOnce is how many objects one request may delete.
const deleteAtOnce = 1000

func (s *Store) deleteMany(ctx context.Context, names []string) error {
	objects := make([]types.ObjectIdentifier, len(names))
	for i, name := range names {
		objects[i].Key = s.key(name)
	}
	out, err := s.client.DeleteObjects(ctx, &awss3.DeleteObjectsInput{
		Bucket: &s.opts.Bucket, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
	})
	if err != nil {
		return s.wrap(ctx, "deleting", names[0], err)
	}
	for _, e := range out.Errors {
		if code := aws.ToString(e.Code); code != "NoSuchKey" {
			return fmt.Errorf("%w: deleting %s: %s: %s", storageFailed, aws.ToString(e.Key), code, aws.ToString(e.Message))
		}
	}
	return nil
}

// List implements blob.Store. It asks for the next names when they are needed.
func (s *Store) List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		below := ""
		if prefix != "" {
			if err := blob.CheckName(prefix); err != nil {
				yield(blob.Info{}, err)
				return
			}
			below = prefix + "/"
		}
		pages := awss3.NewListObjectsV2Paginator(s.client, &awss3.ListObjectsV2Input{Bucket: &s.opts.Bucket, Prefix: s.key(below)})
		ours := len(*s.key(""))
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(blob.Info{}, s.wrap(ctx, "listing", prefix, err))
				return
			}
			for _, object := range page.Contents {
				key := aws.ToString(object.Key)
				if len(key) < ours || blob.CheckName(key[ours:]) != nil {
					continue
				}
				if !yield(blob.Info{Name: key[ours:], Size: aws.ToInt64(object.Size), Modified: aws.ToTime(object.LastModified)}, nil) {
					return
				}
			}
		}
	}
}

// Sweep removes the parts of uploads that were broken off, if they began this long ago.
func (s *Store) Sweep(ctx context.Context, age time.Duration) error {
	pages := awss3.NewListMultipartUploadsPaginator(s.client, &awss3.ListMultipartUploadsInput{Bucket: &s.opts.Bucket, Prefix: s.key("")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return s.wrap(ctx, "sweeping", s.opts.Bucket, err)
		}
		for _, u := range page.Uploads {
			if time.Since(aws.ToTime(u.Initiated)) < age {
				continue
			}
			_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{Bucket: &s.opts.Bucket, Key: u.Key, UploadId: u.UploadId})
			if err = s.wrap(ctx, "sweeping", aws.ToString(u.Key), err); err != nil && !errors.Is(err, farm.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}
