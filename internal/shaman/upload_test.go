// SPDX-License-Identifier: GPL-3.0-or-later

package shaman_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/shaman"
)

func TestAFileIsStoredWhereFlamenco3KeepsIt(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"hello", "", strings.Repeat("long ", 1<<18)} {
		f := setup(t)
		k := keyOf(t, content)
		f.wantStatus(k, shaman.Unknown)
		outcome, err := f.Upload(t.Context(), shaman.Upload{Key: k}, iotest.HalfReader(strings.NewReader(content)))
		if err != nil || outcome != shaman.Accepted {
			t.Fatalf("outcome %v, %v", outcome, err)
		}
		f.wantContent(f.blob(k), content)
		f.wantStatus(k, shaman.Stored)
		if left := tree(t, filepath.Join(f.shared, "file-store", "uploading")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

func TestSumsAreHexadecimalInEitherCase(t *testing.T) {
	t.Parallel()
	lower := keyOf(t, "x")
	upper, err := shaman.NewKey(strings.ToUpper(lower.Sum()), 1)
	if err != nil || upper != lower {
		t.Errorf("%v, %v; want %v", upper, err, lower)
	}
	f := setup(t)
	for _, sum := range []string{"", "0", "../../etc/passwd", strings.Repeat("g", 64), lower.Sum() + "0", lower.Sum()[1:] + "/"} {
		_, err := shaman.NewKey(sum, 1)
		f.wantCode(err, farm.CodeInvalid, "SHA-256")
	}
	_, err = shaman.NewKey(lower.Sum(), -1)
	f.wantCode(err, farm.CodeInvalid, "-1")
}

func TestAFileThatFlamenco3StoredIsTaken(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := keyOf(t, "from before")
	f.must(os.MkdirAll(filepath.Dir(f.blob(k)), 0o777))
	f.must(os.WriteFile(f.blob(k), []byte("from before"), 0o666))
	f.makeOld(f.blob(k), time.Hour)
	outcome, err := f.Upload(t.Context(), shaman.Upload{Key: k}, iotest.ErrReader(errors.New("nobody should read this")))
	if err != nil || outcome != shaman.AlreadyStored {
		t.Fatalf("%v, %v", outcome, err)
	}
	if info, err := os.Stat(f.blob(k)); err != nil || time.Since(info.ModTime()) > 30*time.Minute {
		t.Errorf("not touched: %v", err)
	}
	required, err := f.Requirements(t.Context(), []shaman.File{{Key: k, Path: "a"}})
	if err != nil || len(required) > 0 {
		t.Errorf("%v, %v", required, err)
	}
}

func TestAStoredFileThatAPowerCutShortenedIsUploadedAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := f.put("content")
	f.must(os.Truncate(f.blob(k), 3))
	f.wantStatus(k, shaman.Unknown)
	f.put("content")
	f.wantContent(f.blob(k), "content")
}

func TestContentThatIsNotWhatWasAnnouncedIsRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := keyOf(t, "right")
	for content, text := range map[string]string{"righ": "4 bytes, not 5", "right?": "longer than 5", "wrong": "SHA-256", "": "0 bytes"} {
		_, err := f.Upload(t.Context(), shaman.Upload{Key: k}, strings.NewReader(content))
		f.wantCode(err, farm.CodeMismatch, text)
		f.wantStatus(k, shaman.Unknown)
	}
	broken := io.MultiReader(strings.NewReader("ri"), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, err := f.Upload(t.Context(), shaman.Upload{Key: k}, broken)
	f.wantCode(err, farm.CodeInvalid, "breaks off after 2 bytes")
	if left := tree(t, filepath.Join(f.shared, "file-store")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// begin starts an upload that goes on when finish is called with the rest of the content.
func (f *fixture) begin(u shaman.Upload, start string) (finish func(rest string) (shaman.Outcome, error)) {
	f.t.Helper()
	out, in := io.Pipe()
	type result struct {
		outcome shaman.Outcome
		err     error
	}
	done := make(chan result, 1)
	go func() {
		outcome, err := f.Upload(f.t.Context(), u, out)
		out.CloseWithError(errors.New("not read to the end"))
		done <- result{outcome, err}
	}()
	// This returns when it was read, and so the temporary file exists.
	if _, err := io.WriteString(in, start); err != nil {
		f.t.Fatal(err)
	}
	return func(rest string) (shaman.Outcome, error) {
		_, _ = io.WriteString(in, rest)
		in.Close()
		r := <-done
		return r.outcome, r.err
	}
}

func TestAnUploadIsPutOffOnlyIfTheClientCanWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := keyOf(t, "content")
	first := f.begin(shaman.Upload{Key: k}, "con")
	f.wantStatus(k, shaman.Uploading)
	_, err := f.Upload(t.Context(), shaman.Upload{Key: k, CanDefer: true}, strings.NewReader("content"))
	f.wantCode(err, farm.CodeUploading)
	other := keyOf(t, "content2")
	f.wantStatus(other, shaman.Unknown)

	outcome, err := f.Upload(t.Context(), shaman.Upload{Key: k}, strings.NewReader("content"))
	if err != nil || outcome != shaman.Accepted {
		t.Errorf("the second: %v, %v", outcome, err)
	}
	if outcome, err = first("tent"); err != nil || outcome != shaman.AlreadyStored {
		t.Errorf("the first: %v, %v", outcome, err)
	}
	f.wantContent(f.blob(k), "content")
}

func TestAParallelUploadDoesNotRelyOnOneThatFails(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := keyOf(t, "content")
	bad := f.begin(shaman.Upload{Key: k}, "con")
	good := f.begin(shaman.Upload{Key: k}, "con")
	_, err := bad("demn")
	f.wantCode(err, farm.CodeMismatch)
	if outcome, err := good("tent"); err != nil || outcome != shaman.Accepted {
		t.Errorf("%v, %v", outcome, err)
	}
	f.wantContent(f.blob(k), "content")
}

func TestALongUploadEndsWhenSomebodyElseHasStoredTheFile(t *testing.T) {
	t.Parallel()
	f := setup(t)
	content := strings.Repeat("0123456789abcdef", 1<<20)
	k := keyOf(t, content)
	slow := f.begin(shaman.Upload{Key: k}, content[:100])
	f.put(content)
	// The rest is wrong, and nobody gets as far as noticing it.
	if outcome, err := slow(strings.Repeat("x", len(content)-100)); err != nil || outcome != shaman.AlreadyStored {
		t.Errorf("%v, %v", outcome, err)
	}
}

func TestNobodyWaitsForAnUploadThatACrashEnded(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := keyOf(t, "content")
	tmp := filepath.Join(f.shared, "file-store", "uploading", k.Sum()[:2], k.Sum()[2:], "7-abc.tmp")
	f.must(os.MkdirAll(filepath.Dir(tmp), 0o777))
	f.must(os.WriteFile(tmp, []byte("con"), 0o666))
	f.wantStatus(k, shaman.Uploading) // it may be another Manager's
	f.makeOld(tmp, 10*time.Minute)
	f.wantStatus(k, shaman.Unknown)
	if _, err := f.Upload(t.Context(), shaman.Upload{Key: k, CanDefer: true}, strings.NewReader("content")); err != nil {
		t.Error(err)
	}
	f.wantContent(tmp, "con") // too young to be cleaned up
}

func TestAFileThatDoesNotFitIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.SetFree(65 << 20)
	k := keyOf(t, strings.Repeat("x", 2<<20))
	_, err := f.Upload(t.Context(), shaman.Upload{Key: k}, iotest.ErrReader(errors.New("nobody should read this")))
	f.wantCode(err, farm.CodeStorage, "no space")
	f.put("small enough")
	f.SetFree(-1) // not known
	f.put(strings.Repeat("x", 2<<20))
}

func TestRequirementsNameEachContentOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	stored, unknown, running := f.put("stored"), keyOf(t, "unknown"), keyOf(t, "running")
	finish := f.begin(shaman.Upload{Key: running}, "run")
	got, err := f.Requirements(t.Context(), []shaman.File{
		{Key: unknown, Path: "a"}, {Key: stored, Path: "b"}, {Key: running, Path: "c"}, {Key: unknown, Path: "d"}, {Key: running, Path: "e"},
	})
	f.must(err)
	if len(got) != 2 || got[0].Path != "a" || got[0].Status != shaman.Unknown || got[1].Path != "c" || got[1].Status != shaman.Uploading {
		t.Errorf("%+v", got)
	}
	_, err = finish("ning")
	f.must(err)
	_, err = f.Requirements(t.Context(), []shaman.File{{Key: unknown, Path: "../a"}})
	f.wantCode(err, farm.CodeInvalid, "..")
	_, err = f.Requirements(t.Context(), make([]shaman.File, 100_001))
	f.wantCode(err, farm.CodeTooLarge)
}

func TestAStorageThatIsAwayIsSaidToFail(t *testing.T) {
	t.Parallel()
	f := setup(t)
	k := f.put("x")
	f.must(os.Rename(f.shared, f.shared+"-away"))
	_, err := f.Status(f.t.Context(), k)
	f.wantCode(err, farm.CodeStorage)
	f.must(os.Rename(f.shared+"-away", f.shared))
	f.wantStatus(k, shaman.Stored)
}
