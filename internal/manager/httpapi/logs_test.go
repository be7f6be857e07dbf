// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi_test

import (
	"fmt"
	"strings"
	"testing"

	"flamenco.farm/pkg/api"
)

// attempts runs a task a few times, each with a log that ends in a text of its own, and returns its id.
func (s *server) attempts(w *worker, texts ...string) (job, task string) {
	s.t.Helper()
	job = s.submit("1").ID
	for i, text := range texts {
		assigned, assignment := s.claim(w)
		task = assigned.UUID
		path := "/api/v3/worker/task/" + task
		s.want(204, request{
			method: "POST", path: path, as: w, header: with(assignment, "X-Flamenco-Sequence", "1"), body: fmt.Sprintf(`{"taskStatus":"active","log":%q}`, text),
		})
		if i+1 < len(texts) {
			s.want(204, request{method: "POST", path: "/api/v3/tasks/" + task + "/setstatus", body: `{"status":"canceled","reason":"x"}`})
			s.want(204, request{method: "POST", path: "/api/v3/tasks/" + task + "/setstatus", body: `{"status":"queued","reason":"again"}`})
		}
	}
	return job, task
}

func TestTheLogsOfAllAttemptsAreFoundAndRead(t *testing.T) {
	t.Parallel()
	s := setup(t)
	w := s.register("w")
	long := strings.Repeat("Fra:1 Mem:12M | Rendering 3 / 64 samples\n", 300)
	job, task := s.attempts(w, "first\n"+long, "second\n"+long)
	if err := s.logs.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	base := "/job-files/job-" + job[:4] + "/" + job + "/task-" + task
	info := decode[api.TaskLogInfo](t, s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task + "/log"}))
	if info.URL != base+".txt" || len(info.Attempts) != 2 || info.Attempts[0].URL != base+".1.txt" || info.Attempts[1].URL != info.URL ||
		info.Attempts[1].Size != int64(info.Size) || *info.Attempts[0].Outcome != "canceled" || info.Attempts[1].Ended != nil {
		t.Fatalf("the logs are %+v", info)
	}
	for i, word := range []string{"first\n", "second\n"} {
		log := info.Attempts[i]
		whole := s.want(200, request{method: "GET", path: log.URL})
		if int64(len(whole.body)) != log.Size || strings.Count(whole.body, word) != 1 || !strings.Contains(whole.body, word+long) ||
			whole.header.Get("Content-Encoding") != "" || whole.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("attempt %d: %d bytes, %v", i+1, len(whole.body), whole.header)
		}
		part := s.want(206, request{method: "GET", path: log.URL, header: map[string]string{"Range": "bytes=100-199", "Accept-Encoding": "zstd"}})
		if part.body != whole.body[100:200] || part.header.Get("Content-Range") != fmt.Sprintf("bytes 100-199/%d", log.Size) {
			t.Errorf("part %q of %v", part.body, part.header)
		}
		s.want(416, request{method: "GET", path: log.URL, header: map[string]string{"Range": fmt.Sprintf("bytes=%d-", log.Size)}})
		s.want(304, request{method: "GET", path: log.URL, header: map[string]string{"If-Modified-Since": whole.header.Get("Last-Modified")}})
		packed := s.want(200, request{method: "GET", path: log.URL, header: map[string]string{"Accept-Encoding": "gzip, zstd;q=0.9"}})
		if packed.header.Get("Content-Encoding") != "zstd" || !strings.HasPrefix(packed.body, "\x28\xb5\x2f\xfd") || len(packed.body) > len(whole.body)/5 {
			t.Errorf("compressed: %d bytes, %v", len(packed.body), packed.header)
		}
		if head := s.want(200, request{method: "HEAD", path: log.URL}); head.header.Get("Content-Length") != fmt.Sprint(log.Size) || head.body != "" {
			t.Errorf("head: %v", head.header)
		}

		text := "/api/v3/tasks/" + task + "/log/text?attempt=" + fmt.Sprint(i+1)
		for query, want := range map[string]string{
			"&limit=50": whole.body[:50], "&offset=60&limit=5": whole.body[60:65], "&offset=-70": whole.body[len(whole.body)-70:],
			"&offset=-70&limit=7": whole.body[len(whole.body)-70:][:7], "&offset=99999999": "", "&offset=-99999999&limit=9": whole.body[:9], "": whole.body,
		} {
			a := s.want(200, request{method: "GET", path: text + query})
			if a.body != want || a.header.Get("X-Flamenco-Log-Size") != fmt.Sprint(log.Size) {
				t.Errorf("%s: %.40q of %s bytes", query, a.body, a.header.Get("X-Flamenco-Log-Size"))
			}
		}
		if a := s.want(200, request{method: "GET", path: text + "&offset=-70"}); a.header.Get("X-Flamenco-Log-Offset") != fmt.Sprint(log.Size-70) {
			t.Errorf("the part begins at %s", a.header.Get("X-Flamenco-Log-Offset"))
		}
	}
	if a := s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task + "/log/text"}); !strings.Contains(a.body, "second\n") {
		t.Errorf("without an attempt: %.40q", a.body)
	}
	tail := s.want(200, request{method: "GET", path: "/api/v3/tasks/" + task + "/logtail"})
	if len(tail.body) > 2048 || !strings.HasPrefix(tail.body, "Fra:1 ") {
		t.Errorf("the tail is %q", tail.body)
	}
	for path, status := range map[string]int{
		"/api/v3/tasks/" + task + "/log/text?attempt=3": 204, "/api/v3/tasks/" + task + "/log/text?attempt=-1": 400, "/api/v3/tasks/" + task + "/log/text?limit=0": 400,
		"/api/v3/tasks/" + task + "/log/text?limit=1048577": 400, "/api/v3/tasks/" + task + "/log/text?offset=x": 400,
		"/api/v3/tasks/" + task + "/log/text?offset=9223372036854775807": 200, "/api/v3/tasks/" + task + "/log/text?offset=-9223372036854775808": 200,
		"/api/v3/tasks/" + nobody + "/log/text": 404, "/api/v3/tasks/nope/log/text": 400, base + ".3.txt": 404, base + ".txt.zst~": 404, base + ".x.txt": 404,
	} {
		if a := s.do(request{method: "GET", path: path}); a.status != status {
			t.Errorf("%s: %d, want %d", path, a.status, status)
		}
	}
}

func TestALogIsSentCompressedOnlyToThoseWhoSaySo(t *testing.T) {
	t.Parallel()
	s := setup(t)
	job, task := s.attempts(s.register("w"), strings.Repeat("a line\n", 1000))
	path := "/job-files/job-" + job[:4] + "/" + job + "/task-" + task + ".txt"
	plain := s.want(200, request{method: "GET", path: path, header: map[string]string{"Accept-Encoding": "zstd"}})
	if plain.header.Get("Content-Encoding") != "" {
		t.Error("a log that grows is sent compressed")
	}
	if err := s.logs.PackJob(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for accept, want := range map[string]string{
		"": "", "gzip, deflate, br": "", "*": "", "zstd;q=0": "", "zstd; q=0.000": "", "ZSTD": "zstd", "br, zstd;q=1.0": "zstd", "zstd;q=0.1, identity": "zstd", "xzstd": "",
	} {
		a := s.want(200, request{method: "GET", path: path, header: map[string]string{"Accept-Encoding": accept}})
		if got := a.header.Get("Content-Encoding"); got != want || (want == "") != (a.body == plain.body) {
			t.Errorf("Accept-Encoding %q: %q", accept, got)
		}
		if a.header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Vary: %q", a.header.Get("Vary"))
		}
	}
}
