// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"flamenco.farm/internal/shaman"
)

// BenchmarkRequirementsOf10000Files asks about files of which half are stored.
func BenchmarkRequirementsOf10000Files(b *testing.B) {
	f := setup(b)
	var files []shaman.File
	for i := range 10_000 {
		k := keyOf(b, fmt.Sprint(i))
		if i%2 == 0 {
			f.must(os.MkdirAll(filepath.Dir(f.blob(k)), 0o777))
			f.must(os.WriteFile(f.blob(k), []byte(fmt.Sprint(i)), 0o666))
		}
		files = append(files, shaman.File{Key: k, Path: fmt.Sprintf("textures/%d.png", i)})
	}
	for b.Loop() {
		required, err := f.Requirements(b.Context(), files)
		if err != nil || len(required) != 5_000 {
			b.Fatal(len(required), err)
		}
	}
}

// BenchmarkCheckoutOf10000Files makes links to stored files.
func BenchmarkCheckoutOf10000Files(b *testing.B) {
	f := setup(b)
	k := f.put("content")
	var files []shaman.File
	for i := range 10_000 {
		files = append(files, shaman.File{Key: k, Path: fmt.Sprintf("textures/%d/%d.png", i%100, i)})
	}
	i := 0
	for b.Loop() {
		if _, err := f.Checkout(b.Context(), fmt.Sprint("shot", i), files); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

const hundredMB = 100 << 20

// BenchmarkUploadOf100MB uploads a new file each time.
func BenchmarkUploadOf100MB(b *testing.B) {
	f := setup(b)
	content := make([]byte, hundredMB)
	b.SetBytes(hundredMB)
	n := uint64(0)
	for b.Loop() {
		b.StopTimer()
		n++
		binary.LittleEndian.PutUint64(content, n)
		sum := sha256.Sum256(content)
		k, err := shaman.NewKey(hex.EncodeToString(sum[:]), hundredMB)
		f.must(err)
		b.StartTimer()
		if _, err := f.Upload(b.Context(), shaman.Upload{Key: k}, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		f.must(os.Remove(f.blob(k)))
		b.StartTimer()
	}
}

// BenchmarkPlainCopyOf100MB is what an upload is measured against: copy, sum and sync.
func BenchmarkPlainCopyOf100MB(b *testing.B) {
	content := make([]byte, hundredMB)
	name := filepath.Join(b.TempDir(), "file")
	b.SetBytes(hundredMB)
	for b.Loop() {
		file, err := os.Create(name)
		if err != nil {
			b.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(io.MultiWriter(file, sum), struct{ io.Reader }{bytes.NewReader(content)}); err != nil {
			b.Fatal(err)
		}
		if err := file.Sync(); err != nil {
			b.Fatal(err)
		}
		file.Close()
		sum.Sum(nil)
		os.Remove(name)
	}
}
