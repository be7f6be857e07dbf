// SPDX-License-Identifier: GPL-3.0-or-later

package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flamenco.farm/internal/blob/s3"
	"flamenco.farm/internal/config"
	"flamenco.farm/internal/manager"
	"flamenco.farm/internal/tasklog"
	"flamenco.farm/internal/worker"
	"flamenco.farm/pkg/api"
	"flamenco.farm/pkg/client"
)

// patience is how long a test waits for what should happen soon on a computer that has nothing else to do.
const patience = 4 * time.Minute

// reading is a job type whose tasks print a file of the checkout.
const reading = `
const JOB_TYPE = { label: "Reading", settings: [ { key: "file", type: "string", required: true } ] };
function compileJob(job) {
  for (let i = 1; i <= 5; i++) {
    const task = author.Task("read-" + i, "misc");
    task.addCommand(author.Command("exec", { exe: "sh", args: ["-c", 'for n in 1 2 3; do cat "$0"; done', "{jobs}/" + job.settings.file] }));
    job.addTask(task);
  }
}
`

func managerConfig(t *testing.T, bucket s3.Options) config.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := config.Default()
	cfg.Listen, cfg.Autodiscoverable = "127.0.0.1:0", false
	cfg.Database = filepath.Join(dir, "farm.sqlite")
	cfg.LocalStorage = filepath.Join(dir, "local")
	cfg.SharedStorage = filepath.Join(dir, "shared")
	cfg.Durability = config.DurabilityNormal
	cfg.JobCompiler.TimeLimit = time.Minute
	cfg.Shaman.Enabled = true
	cfg.Files = config.FilesS3
	cfg.S3 = config.S3{
		Endpoint: bucket.Endpoint, Region: bucket.Region, Bucket: bucket.Bucket, Prefix: bucket.Prefix,
		AccessKey: bucket.AccessKey, SecretKey: bucket.SecretKey,
	}
	return cfg
}

// run runs a Manager until the test ends or stop is called.
func run(t *testing.T, cfg config.Config, scripts string, log *slog.Logger) (url string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	listening, ended := make(chan net.Addr, 1), make(chan error, 1)
	m := manager.New(manager.Options{Config: cfg, Log: log, ScriptsDir: scripts, OnListen: func(a net.Addr) { listening <- a }})
	go func() { ended <- m.Run(ctx) }()
	select {
	case a := <-listening:
		stop = func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the Manager ended: %v", err)
			}
			ended <- nil
		}
		t.Cleanup(stop)
		return "http://" + a.String(), stop
	case err := <-ended:
		cancel()
		t.Fatalf("the Manager did not start: %v", err)
		return "", nil
	}
}

// request makes a request that has to succeed.
func request(t *testing.T, method, url string, body []byte) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if strings.Contains(url, "/shaman/files/") {
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 300 {
		t.Fatalf("%s %s: %s %s, %v", method, url, resp.Status, text, err)
	}
	return string(text)
}

func TestAManagerKeepsTheFilesOfAJobInABucket(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	cfg := managerConfig(t, bucket)
	scripts := t.TempDir()
	if err := os.WriteFile(filepath.Join(scripts, "reading.js"), []byte(reading), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	url, stop := run(t, cfg, scripts, slog.New(slog.NewTextHandler(&locked{w: &log}, &slog.HandlerOptions{Level: slog.LevelDebug})))
	c, err := client.New(url, client.WithPatience(patience))
	if err != nil {
		t.Fatal(err)
	}
	content := []byte(strings.Repeat("what every task reads\n", 2000))
	checkout := upload(t, url, "scene.txt", content)
	runWorker(t, url)
	job, err := c.SubmitJob(t.Context(), api.SubmittedJob{
		Name: "reading", Type: "reading", Priority: 50, SubmitterPlatform: "linux",
		Settings: api.JobSettings{"file": checkout + "/scene.txt"}, Storage: &api.JobStorageInfo{ShamanCheckoutID: &checkout},
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, c, job.ID)

	blobs := storeOf(t, bucket)
	if n := count(t, blobs, "shaman"); n != 1 {
		t.Errorf("%d uploaded files are in the bucket", n)
	}
	checkLogs(t, c, job.ID, content)
	if files, _ := filepath.Glob(filepath.Join(cfg.LocalStorage, "job-*", "*", "*")); len(files) != 0 {
		t.Errorf("in the local storage are %q", files)
	}
	stop()

	url, stop = run(t, cfg, scripts, slog.New(slog.DiscardHandler)) // nothing in memory is needed
	if c, err = client.New(url, client.WithPatience(patience)); err != nil {
		t.Fatal(err)
	}
	checkLogs(t, c, job.ID, content)
	if err := c.DeleteJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, c, job.ID)
	if n := count(t, blobs, tasklog.Folder(job.ID)); n != 0 {
		t.Errorf("%d objects of the deleted job are left", n)
	}
	stop()
	if strings.Contains(log.String(), secretKey) {
		t.Error("the secret is in the log")
	}
}

// locked is a log that several goroutines write.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// upload uploads a file and checks it out.
func upload(t *testing.T, url, name string, content []byte) (checkout string) {
	t.Helper()
	sum := fmt.Sprintf("%x", sha256.Sum256(content))
	file := map[string]any{"sha": sum, "size": len(content), "path": name}
	ask, _ := json.Marshal(map[string]any{"files": []any{file}})
	if answer := request(t, "POST", url+"/api/v3/shaman/checkout/requirements", ask); !strings.Contains(answer, "unknown") {
		t.Errorf("required is %s", answer)
	}
	request(t, "POST", fmt.Sprintf("%s/api/v3/shaman/files/%s/%d", url, sum, len(content)), content)
	if answer := request(t, "POST", url+"/api/v3/shaman/checkout/requirements", ask); strings.Contains(answer, sum) {
		t.Errorf("required is %s", answer)
	}
	order, _ := json.Marshal(map[string]any{"files": []any{file}, "checkoutPath": "reading"})
	var made struct {
		CheckoutPath string `json:"checkoutPath"`
	}
	if err := json.Unmarshal([]byte(request(t, "POST", url+"/api/v3/shaman/checkout/create", order)), &made); err != nil {
		t.Fatal(err)
	}
	return made.CheckoutPath
}

func runWorker(t *testing.T, url string) {
	t.Helper()
	w, err := worker.New(worker.Options{Managers: []string{url}, Home: t.TempDir(), Name: "worker", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // ends with ctx
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func await(t *testing.T, c *client.Client, jobID string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for job, err := range c.WatchJob(ctx, jobID) {
		if err != nil {
			t.Fatal(err)
		}
		switch job.Status {
		case api.JobStatusCompleted:
			return
		case api.JobStatusFailed, api.JobStatusCanceled:
			t.Fatalf("the job is %s: %s", job.Status, job.Activity)
		}
	}
}

func awaitGone(t *testing.T, c *client.Client, jobID string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for client.StatusOf(func() error { _, err := c.Job(ctx, jobID); return err }()) != http.StatusNotFound {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the job is not deleted")
		}
	}
}

// checkLogs reads the logs of all tasks, whole and their ends.
func checkLogs(t *testing.T, c *client.Client, jobID string, content []byte) {
	t.Helper()
	n := 0
	for task, err := range c.Tasks(t.Context(), jobID, client.List{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		var whole strings.Builder
		if err := c.TaskLog(t.Context(), task.ID, &whole); err != nil {
			t.Fatal(err)
		}
		line := strings.SplitN(string(content), "\n", 2)[0]
		if got, want := strings.Count(whole.String(), line), 3*bytes.Count(content, []byte("\n")); got != want || !strings.HasSuffix(whole.String(), "Task completed\n") {
			t.Errorf("the log of %s has %d lines, want %d", task.Name, got, want)
		}
		tail := request(t, "GET", c.URL()+"/api/v3/tasks/"+task.ID+"/logtail", nil)
		if !strings.HasSuffix(whole.String(), tail) || tail == "" {
			t.Errorf("the tail of %s is %q", task.Name, tail)
		}
	}
	if n != 5 {
		t.Errorf("%d tasks", n)
	}
}

func count(t *testing.T, blobs *s3.Store, prefix string) (n int) {
	t.Helper()
	for _, err := range blobs.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAManagerThatCannotUseItsBucketSaysSoAndDoesNotStart(t *testing.T) {
	t.Parallel()
	bucket := newBucket(t)
	cfg := managerConfig(t, bucket)
	cfg.S3.Bucket = "missing-" + bucket.Bucket
	err := manager.New(manager.Options{Config: cfg, Log: slog.New(slog.DiscardHandler)}).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "there is no bucket") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(cfg.Database); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a database was made: %v", err)
	}
}
