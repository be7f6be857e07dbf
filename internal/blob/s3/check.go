// SPDX-License-Identifier: GPL-3.0-or-later

package s3

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"flamenco.farm/internal/blob"
	"flamenco.farm/internal/farm"
)

// checkTime is how long Check may take.
const checkTime = 45 * time.Second

// checkFolder is where Check puts its small objects.
const checkFolder = "manager-check"

// Check writes a small object, reads and deletes it, and says in words for people what is wrong if that is not possible.
func (s *Store) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := s.check(ctx)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", farm.Errorf(farm.CodeStorage, "files cannot be kept on S3: %s", s.explain(err)), err)
}

var (
	errUnconditional = errors.New("a second object of the same name was accepted")
	errOtherContent  = errors.New("an object is read as something else than was written")
)

func (s *Store) check(ctx context.Context) error {
	text := rand.Text()
	name := checkFolder + "/" + text
	if _, err := s.Create(ctx, name, strings.NewReader(text)); err != nil && !errors.Is(err, blob.ErrExist) {
		return err
	}
	_, err := s.Create(ctx, name, strings.NewReader("another"))
	switch {
	case errors.Is(err, blob.ErrExist):
		err = s.checkContent(ctx, name, text)
	case err == nil:
		err = errUnconditional
	}
	return errors.Join(err, s.Delete(ctx, name))
}

func (s *Store) checkContent(ctx context.Context, name, want string) error {
	r, _, err := s.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, 1<<10))
	if err == nil && string(text) != want {
		err = errOtherContent
	}
	if err != nil {
		return err
	}
	for info, err := range s.List(ctx, checkFolder) {
		if err != nil || info.Name == name {
			return err
		}
	}
	return fmt.Errorf("%w: it is not listed", errOtherContent)
}

// explain says what somebody has to do.
func (s *Store) explain(err error) string {
	at := s.opts.Endpoint
	if at == "" {
		at = "Amazon S3 in " + s.opts.Region
	}
	var certificate *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var dns *net.DNSError
	var network *net.OpError
	switch {
	case isCode(err, "NoSuchBucket"):
		return fmt.Sprintf("there is no bucket %q at %s (s3.bucket); make it first", s.opts.Bucket, at)
	case isCode(err, "InvalidAccessKeyId", "XAdminUserNotFound"): // the second is what VersityGW says
		return fmt.Sprintf("%s does not know the access key (s3.access_key)", at)
	case isCode(err, "SignatureDoesNotMatch"):
		return fmt.Sprintf("%s refuses the secret key (s3.secret_key)", at)
	case isCode(err, "AccessDenied"), isStatus(err, http.StatusForbidden), isStatus(err, http.StatusUnauthorized):
		return fmt.Sprintf("the key may not list, read, write and delete objects in the bucket %q at %s, or the bucket is somebody else's", s.opts.Bucket, at)
	case isCode(err, "RequestTimeTooSkewed"):
		return fmt.Sprintf("the clocks of this machine and of %s differ too much", at)
	case isCode(err, "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"), isStatus(err, http.StatusMovedPermanently):
		return fmt.Sprintf("the bucket %q is not in the region %s (s3.region)", s.opts.Bucket, s.opts.Region)
	case errors.Is(err, errUnconditional), isCode(err, "NotImplemented"):
		return fmt.Sprintf("%s has no conditional writes (If-None-Match), without which two Managers could overwrite each other's files", at)
	case errors.As(err, &certificate), errors.As(err, &authority):
		return fmt.Sprintf("the certificate of %s is not trusted by this machine (s3.endpoint)", at)
	case errors.As(err, &dns):
		return fmt.Sprintf("there is no address for the name %q (s3.endpoint)", dns.Name)
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("%s does not answer (s3.endpoint)", at)
	case errors.Is(err, errOtherContent):
		return errOtherContent.Error()
	}
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return fmt.Sprintf("%s answers %s: %s", at, answer.ErrorCode(), answer.ErrorMessage())
	}
	return fmt.Sprintf("%s cannot be used", at)
}
