// SPDX-License-Identifier: GPL-3.0-or-later

package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func contains(text []byte, part string) bool { return bytes.Contains(text, []byte(part)) }

func sum(content string) string {
	hash := sha256.Sum256([]byte(content))
	return hex.EncodeToString(hash[:])
}

func spec(content, path string) object {
	return object{"sha": sum(content), "size": len(content), "path": path}
}

func filePath(content string) string {
	return fmt.Sprintf("/shaman/files/%s/%d", sum(content), len(content))
}

func shamanExchanges(t *testing.T, b *book) {
	cfg := settings(t)
	cfg.Shaman.Enabled = true
	w := connect(t, cfg, b)
	w.send("GET", "/configuration", nil).is(200).has("shamanEnabled", true)
	const scene, texture = "the scene", "a texture"
	binary := header("Content-Type", "application/octet-stream")

	w.send("POST", "/shaman/checkout/requirements", object{}).is(400)
	needs := object{"files": []object{spec(scene, "film/scene.blend"), spec(texture, "film/maps/wood.png")}}
	w.send("POST", "/shaman/checkout/requirements", needs).is(200).has("files.0.status", "unknown").has("files.1.status", "unknown")
	w.send("GET", filePath(scene), nil).is(200).has("status", "unknown")
	w.send("GET", "/shaman/files/../../etc/passwd/5", nil)
	w.send("GET", "/shaman/files/nothex/5", nil).is(400)

	w.send("POST", filePath(scene), "other text", binary).is(417)
	w.send("POST", filePath(scene), scene, binary, header("X-Shaman-Original-Filename", "=?latin-99?Q?abc?=")).is(400)
	w.send("POST", filePath(scene), scene, binary, header("X-Shaman-Original-Filename", "=?UTF-8?Q?Caf=C3=A9.blend?="), header("X-Shaman-Can-Defer-Upload", "False")).is(200)
	w.send("POST", filePath(scene), scene, binary).is(208)
	w.send("GET", filePath(scene), nil).is(200).has("status", "stored")

	create := object{"files": needs["files"], "checkoutPath": "film/shot 1"}
	w.send("POST", "/shaman/checkout/create", create).is(424)
	deferred(t, w, texture, binary)
	checkout := w.send("POST", "/shaman/checkout/create", create).is(200).has("checkoutPath", "film/shot 1").string("checkoutPath")
	text, err := os.ReadFile(filepath.Join(cfg.SharedStorage, "jobs", checkout, "film", "maps", "wood.png"))
	if err != nil || string(text) != texture {
		t.Errorf("the checkout holds %q, %v", text, err)
	}
	again := w.send("POST", "/shaman/checkout/create", create).is(200).string("checkoutPath")
	if again == checkout || !strings.HasPrefix(again, checkout+"-") {
		t.Errorf("the second checkout is at %q", again)
	}
	for _, bad := range []string{"../film", "/film", "film/../../x", "a?b", ""} {
		w.send("POST", "/shaman/checkout/create", object{"files": needs["files"], "checkoutPath": bad}).is(400)
	}
	w.send("POST", "/shaman/checkout/create", object{"files": []object{spec(scene, "../../escaped.blend")}, "checkoutPath": "bad"}).is(400)

	// A name below what is a file can never be free.
	if err := os.WriteFile(filepath.Join(cfg.SharedStorage, "jobs", "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.send("POST", "/shaman/checkout/create", object{"files": needs["files"], "checkoutPath": "taken/below"}).is(409)

	job := submission("with files", 0)
	job["storage"] = object{"shaman_checkout_id": checkout}
	id := w.send("POST", "/jobs", job).is(200).has("storage.shaman_checkout_id", checkout).string("id")
	w.send("GET", "/jobs/"+id+"/what-would-delete-do", nil).is(200).has("shaman_checkout", true)
	w.send("DELETE", "/jobs/"+id, nil).is(204)
	w.eventually("job and checkout are gone", func() bool { return w.send("GET", "/jobs/"+id, nil).status == 404 })
	if _, err := os.Stat(filepath.Join(cfg.SharedStorage, "jobs", checkout)); !os.IsNotExist(err) {
		t.Errorf("the checkout after the deletion of its job: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.SharedStorage, "jobs", again)); err != nil {
		t.Errorf("the other checkout: %v", err)
	}
}

// deferred uploads a file twice at once: the second uploader, which can wait, is told to.
func deferred(t *testing.T, w *wire, content string, binary option) {
	t.Helper()
	read, write := io.Pipe()
	first := make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/api/v3"+filePath(content), read)
		if err != nil {
			first <- 0
			return
		}
		binary(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			first <- 0
			return
		}
		_ = resp.Body.Close()
		first <- resp.StatusCode
	}()
	if _, err := io.WriteString(write, content[:3]); err != nil {
		t.Fatal(err)
	}
	w.eventually("the upload has begun", func() bool {
		return w.send("GET", filePath(content), nil).is(200).string("status") == "uploading"
	})
	w.send("POST", filePath(content), content, binary, header("X-Shaman-Can-Defer-Upload", "True")).is(425)
	if _, err := io.WriteString(write, content[3:]); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	if status := <-first; status != http.StatusOK {
		t.Fatalf("the first upload: %d", status)
	}
}

func noShamanExchanges(t *testing.T, b *book) {
	cfg := settings(t)
	cfg.Shaman.Enabled = false
	w := connect(t, cfg, b)
	w.send("POST", "/shaman/checkout/requirements", object{"files": []object{}}).is(503)
	w.send("POST", "/shaman/checkout/create", object{"files": []object{}, "checkoutPath": "x"}).is(503)
	w.send("GET", filePath("x"), nil).is(503)
	w.send("POST", filePath("x"), "x", header("Content-Type", "application/octet-stream")).is(503)
}
