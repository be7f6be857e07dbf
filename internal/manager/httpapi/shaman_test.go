// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/shaman"
	"flamenco.farm/pkg/api"
)

// uploads is a Manager's API to which files can be uploaded.
type uploads struct {
	*server
	shared string
}

func setupShaman(t *testing.T) *uploads {
	t.Helper()
	shared := t.TempDir()
	store, err := shaman.New(shaman.Options{SharedStorage: shared, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return &uploads{server: setupWith(t, func(o *httpapi.Options) {
		o.Shaman, o.Config = store, config.Fixed(config.Config{ManagerName: "Test Farm", SharedStorage: shared})
	}), shared: shared}
}

// sumOf is the SHA-256 sum of a content.
func sumOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

// fileURL is the address of a file in the store.
func fileURL(content string) string {
	return fmt.Sprintf("/api/v3/shaman/files/%s/%d", sumOf(content), len(content))
}

// upload sends a body as the content of the file at an address.
func upload(path, body string, header ...string) request {
	return request{method: "POST", path: path, body: body, header: with(map[string]string{"Content-Type": "application/octet-stream"}, header...)}
}

// filesBody is the body that names files: path, content, path, content …
func filesBody(checkout string, pairs ...string) string {
	body := map[string]any{}
	if checkout != "" {
		body["checkoutPath"] = checkout
	}
	files := []map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		files = append(files, map[string]any{"sha": sumOf(pairs[i+1]), "size": len(pairs[i+1]), "path": pairs[i]})
	}
	body["files"] = files
	text, _ := json.Marshal(body)
	return string(text)
}

const (
	requirementsURL = "/api/v3/shaman/checkout/requirements"
	checkoutURL     = "/api/v3/shaman/checkout/create"
)

func TestAJobsFilesAreUploadedAndCheckedOut(t *testing.T) {
	t.Parallel()
	s := setupShaman(t)
	for _, path := range []string{"/api/v3/configuration", "/api/v3/configuration/shared-storage/users/linux"} {
		if a := s.want(200, request{method: "GET", path: path}); !strings.Contains(a.body, `"shamanEnabled":true`) {
			t.Error(a.body)
		}
	}
	files := []string{"scene.blend", "the scene", "textures/wood.png", "the wood"}
	required := decode[api.ShamanRequirementsResponse](t, s.want(200, request{method: "POST", path: requirementsURL, body: filesBody("", files...)}))
	if len(required.Files) != 2 || required.Files[0].Path != "scene.blend" || required.Files[0].Status != "unknown" || required.Files[1].SHA != sumOf("the wood") {
		t.Fatalf("%+v", required)
	}
	a := s.want(200, request{method: "GET", path: fileURL("the scene")})
	if !strings.Contains(a.body, `"unknown"`) {
		t.Error(a.body)
	}
	a = s.want(200, upload(fileURL("the scene"), "the scene", "X-Shaman-Can-Defer-Upload", "True", "X-Shaman-Original-Filename", "=?utf-8?q?sc=C3=A8ne.blend?="))
	if a.body != "" {
		t.Errorf("answered %q", a.body)
	}
	s.want(200, upload(strings.Replace(fileURL("the wood"), sumOf("the wood"), strings.ToUpper(sumOf("the wood")), 1), "the wood", "X-Shaman-Can-Defer-Upload", "0"))
	s.want(208, upload(fileURL("the wood"), "the wood"))
	if a := s.want(200, request{method: "GET", path: fileURL("the scene")}); !strings.Contains(a.body, `"stored"`) {
		t.Error(a.body)
	}
	if a := s.want(200, request{method: "POST", path: requirementsURL, body: filesBody("", files...)}); a.body != `{"files":[]}`+"\n" {
		t.Error(a.body)
	}
	first := decode[api.ShamanCheckoutResult](t, s.want(200, request{method: "POST", path: checkoutURL, body: filesBody("project/shot", files...)}))
	second := decode[api.ShamanCheckoutResult](t, s.want(200, request{method: "POST", path: checkoutURL, body: filesBody("project/shot", files...)}))
	if first.CheckoutPath != "project/shot" || second.CheckoutPath == first.CheckoutPath {
		t.Errorf("%+v, %+v", first, second)
	}
	for _, made := range []string{first.CheckoutPath, second.CheckoutPath} {
		got, err := os.ReadFile(filepath.Join(s.shared, "jobs", made, "textures/wood.png"))
		if err != nil || string(got) != "the wood" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestWhatShamanCannotDoIsAnsweredWithTheCodesOfTheContract(t *testing.T) {
	t.Parallel()
	s := setupShaman(t)
	const jsonType, octets = "application/json", "application/octet-stream"
	s.want(200, upload(fileURL("stored"), "stored"))
	s.want(200, request{method: "POST", path: checkoutURL, body: filesBody("taken", "file", "stored")})
	unsent := fileURL("unsent")
	for _, c := range []struct {
		name     string
		method   string
		path     string
		body     string
		header   []string
		status   int
		contains []string
	}{
		{name: "sum that is none", method: "GET", path: "/api/v3/shaman/files/0/1", status: 400, contains: []string{"SHA-256", `"code":400`}},
		{name: "sum with other letters", method: "GET", path: "/api/v3/shaman/files/" + strings.Repeat("g", 64) + "/1", status: 400},
		{name: "sum that leads out", method: "GET", path: "/api/v3/shaman/files/..%2F..%2F" + strings.Repeat("a", 58) + "/1", status: 400},
		{name: "negative size", method: "GET", path: "/api/v3/shaman/files/" + sumOf("x") + "/-1", status: 400},
		{name: "size that is no number", method: "GET", path: "/api/v3/shaman/files/" + sumOf("x") + "/big", status: 400},
		{name: "size beyond all", method: "GET", path: "/api/v3/shaman/files/" + sumOf("x") + "/99999999999999999999", status: 400},
		{name: "upload to a sum that is none", method: "POST", path: "/api/v3/shaman/files/0/1", body: "x", status: 400},
		{name: "upload of negative size", method: "POST", path: "/api/v3/shaman/files/" + sumOf("x") + "/-1", body: "x", status: 400},
		{name: "upload that can be deferred perhaps", method: "POST", path: unsent, body: "unsent", header: []string{"X-Shaman-Can-Defer-Upload", "perhaps"}, status: 400},
		{name: "file name that is broken", method: "POST", path: unsent, body: "unsent", header: []string{"X-Shaman-Original-Filename", "=?klingon?q?x?="}, status: 400, contains: []string{"file name"}},
		{name: "file name in Latin-1", method: "POST", path: unsent, body: "unsent", header: []string{"X-Shaman-Original-Filename", "sc\xe8ne"}, status: 400, contains: []string{"RFC 2047"}},
		{name: "upload of another kind", method: "POST", path: unsent, body: "unsent", header: []string{"Content-Type", "text/plain"}, status: 400, contains: []string{"Content-Type"}},
		{name: "content that is shorter", method: "POST", path: unsent, body: "unsen", status: 417, contains: []string{"5 bytes, not 6", `"code":417`}},
		{name: "content that is longer", method: "POST", path: unsent, body: "unsent!", status: 417},
		{name: "no content", method: "POST", path: unsent, status: 417},
		{name: "content that is another one", method: "POST", path: unsent, body: "xxxxxx", status: 417, contains: []string{sumOf("unsent")}},
		{name: "more than any disk holds", method: "POST", path: "/api/v3/shaman/files/" + sumOf("x") + "/1000000000000000000", body: "x", status: 507, contains: []string{"no space", `"code":507`}},

		{name: "checkout of what is missing", method: "POST", path: checkoutURL, body: filesBody("shot", "a", "stored", "b", "unsent"), status: 424, contains: []string{"1 of 2", "b", `"code":424`}},
		{name: "checkout below a file", method: "POST", path: checkoutURL, body: filesBody("taken/file/x", "a", "stored"), status: 409, contains: []string{"taken", `"code":409`}},
		{name: "checkout of nothing", method: "POST", path: checkoutURL, body: filesBody("shot"), status: 400},
		{name: "checkout that leads out", method: "POST", path: checkoutURL, body: filesBody("../shot", "a", "stored"), status: 400, contains: []string{".."}},
		{name: "checkout of a file that leads out", method: "POST", path: checkoutURL, body: filesBody("shot", "../../../a", "stored"), status: 400, contains: []string{".."}},
		{name: "checkout with a path twice", method: "POST", path: checkoutURL, body: filesBody("shot", "a", "stored", "a", "stored"), status: 400, contains: []string{"twice"}},
		{name: "checkout with a bad sum", method: "POST", path: checkoutURL, body: `{"checkoutPath":"shot","files":[{"sha":"0","size":1,"path":"a"}]}`, status: 400},
		{name: "checkout without a path", method: "POST", path: checkoutURL, body: filesBody("", "a", "stored"), status: 400, contains: []string{"checkoutPath"}},
		{name: "requirements of a bad path", method: "POST", path: requirementsURL, body: filesBody("", "/etc/passwd", "stored"), status: 400, contains: []string{"absolute"}},
		{name: "requirements without a size", method: "POST", path: requirementsURL, body: `{"files":[{"sha":"` + sumOf("x") + `","path":"a"}]}`, status: 400, contains: []string{"size"}},
		{name: "requirements of a negative size", method: "POST", path: requirementsURL, body: `{"files":[{"sha":"` + sumOf("x") + `","size":-5,"path":"a"}]}`, status: 400, contains: []string{"-5"}},
		{name: "requirements without files", method: "POST", path: requirementsURL, body: `{}`, status: 400, contains: []string{"files"}},
		{name: "requirements of nothing", method: "POST", path: requirementsURL, body: `{"files":[]}`, status: 200, contains: []string{`{"files":[]}`}},
		{name: "too long a body", method: "POST", path: requirementsURL, body: `{"files":[],"x":"` + strings.Repeat("x", 64<<20) + `"}`, status: 413},

		{name: "job of a checkout", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"storage":{"shaman_checkout_id":"taken"}}`, status: 200, contains: []string{`"shaman_checkout_id":"taken"`}},
		{name: "job of no checkout", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"storage":{"shaman_checkout_id":"nope"}}`, status: 400, contains: []string{"storage.shaman_checkout_id", "nope"}},
		{name: "job of a checkout elsewhere", method: "POST", path: "/api/v3/jobs", body: jobStart + `,"settings":{"message":"x"},"storage":{"shaman_checkout_id":"../file-store"}}`, status: 400},
	} {
		header := map[string]string{"Content-Type": jsonType}
		if strings.HasPrefix(c.path, "/api/v3/shaman/files/") {
			header["Content-Type"] = octets
		}
		a := s.do(request{method: c.method, path: c.path, body: c.body, header: with(header, c.header...)})
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %.300s", c.name, a.status, c.status, a.body)
		}
		for _, text := range c.contains {
			if !strings.Contains(a.body, text) {
				t.Errorf("%s: %.300s lacks %s", c.name, a.body, text)
			}
		}
	}
	if got, err := filepath.Glob(filepath.Join(s.shared, "jobs", "*")); err != nil || len(got) != 1 {
		t.Errorf("jobs holds %v, %v", got, err)
	}
	if got, err := filepath.Glob(filepath.Join(s.shared, "file-store/uploading/*/*/*")); err != nil || len(got) > 0 {
		t.Errorf("left behind: %v, %v", got, err)
	}
}

func TestWithoutShamanAllItsOperationsSayThatItIsOff(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for _, r := range []request{
		{method: "POST", path: requirementsURL, body: filesBody("", "a", "x")},
		{method: "POST", path: checkoutURL, body: filesBody("shot", "a", "x")},
		{method: "GET", path: fileURL("x")},
		upload(fileURL("x"), "x"),
	} {
		a := s.want(503, r)
		if !strings.Contains(a.body, `"code":503`) || !strings.Contains(a.body, "switched off") || a.header.Get("Retry-After") != "" {
			t.Errorf("%s %s: %s, Retry-After %q", r.method, r.path, a.body, a.header.Get("Retry-After"))
		}
	}
	body := jobStart + `,"settings":{"message":"x"},"storage":{"shaman_checkout_id":"%s"}}`
	s.want(200, request{method: "POST", path: "/api/v3/jobs", body: fmt.Sprintf(body, "made/before")})
	s.want(400, request{method: "POST", path: "/api/v3/jobs", body: fmt.Sprintf(body, "a/../../b")})
}

// slowUpload begins an upload, which ends with the rest of the content.
func (s *uploads) slowUpload(content, start string) (finish func(rest string) int) {
	s.t.Helper()
	out, in := io.Pipe()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+fileURL(content), out)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	status := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	if _, err := io.WriteString(in, start); err != nil {
		s.t.Fatal(err)
	}
	s.waitFor(content, "uploading")
	return func(rest string) int {
		_, _ = io.WriteString(in, rest)
		in.Close()
		return <-status
	}
}

// waitFor waits until a file has a status.
func (s *uploads) waitFor(content, status string) {
	s.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		if a := s.want(200, request{method: "GET", path: fileURL(content)}); strings.Contains(a.body, `"`+status+`"`) {
			return
		}
		<-tick.C
	}
	s.t.Fatalf("the file did not become %s", status)
}

func TestOnlyOneOfTwoUploadsIsDeferredAndNoneRelyOnTheOther(t *testing.T) {
	t.Parallel()
	s := setupShaman(t)
	bad := s.slowUpload("content", "con")
	if a := s.want(425, upload(fileURL("content"), "content", "X-Shaman-Can-Defer-Upload", "1")); !strings.Contains(a.body, `"code":425`) {
		t.Error(a.body)
	}
	good := s.slowUpload("content", "cont")
	if got := bad("demn"); got != 417 {
		t.Errorf("the wrong content was answered %d", got)
	}
	if got := good("ent"); got != 200 {
		t.Errorf("the right content was answered %d", got)
	}
	s.waitFor("content", "stored")

	late := s.slowUpload("content 2", "con")
	s.want(200, upload(fileURL("content 2"), "content 2", "X-Shaman-Can-Defer-Upload", "False"))
	if got := late("tent 2"); got != 208 {
		t.Errorf("the one that was later was answered %d", got)
	}
}

func TestAnUploadThatIsCutOffLeavesNothing(t *testing.T) {
	t.Parallel()
	s := setupShaman(t)
	out, in := io.Pipe()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, s.url+fileURL("content"), out)
	req.RequestURI = ""
	req.Header.Set("Content-Type", "application/octet-stream")
	done := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		done <- err
	}()
	_, _ = io.WriteString(in, "con")
	s.waitFor("content", "uploading")
	in.CloseWithError(io.ErrClosedPipe)
	if err := <-done; err == nil {
		t.Error("the request was answered")
	}
	s.waitFor("content", "unknown")
}
