// SPDX-License-Identifier: GPL-3.0-or-later

package export

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"flamenco.farm/internal/farm"
)

var rows = [][]any{
	{int64(1), "plain", true, nil},
	{int64(math.MaxInt64), "quoted \" \\ / \n\r\t\x00\x1f\x7f <&> \u2028 é 🦩", false, "x"},
	{int64(math.MinInt64), "", true, "\xff\xfe\x00"},
	{int64(9007199254740993), `{"a":"b"}`, false, nil},
}

func written(t testing.TB, header Header) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"first", "empty", "second"} {
		if err := w.Table(table, []string{"a", "b", "c", "d"}); err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			if table == "empty" {
				break
			}
			if err := w.Row(row); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Rows() != 8 {
		t.Errorf("%d rows were written", w.Rows())
	}
	return file.Bytes()
}

func unpacked(t testing.TB, file []byte) string {
	t.Helper()
	d, err := zstd.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := io.ReadAll(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func packed(t testing.TB, text string) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := zstd.NewWriter(&file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	header := Header{Schema: 7, Flamenco: "4.0.0", Exported: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Farm: "f", Engine: "sqlite"}
	file := written(t, header)
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	header.Format, header.Version, header.SHA256 = formatName, formatVersion, r.Header().SHA256
	if diff := cmp.Diff(header, r.Header()); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{"first", "empty", "second"} {
		name, columns, err := r.NextTable()
		if err != nil || name != want || len(columns) != 4 {
			t.Fatalf("%s, %v, %v", name, columns, err)
		}
		for n := 0; ; n++ {
			values, ok, err := r.NextRow()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if diff := cmp.Diff(rows[n], values); diff != "" {
				t.Error(diff)
			}
		}
	}
	for range 2 {
		if _, _, err := r.NextTable(); !errors.Is(err, io.EOF) {
			t.Errorf("the end is %v", err)
		}
	}
	if r.Consumed() != int64(len(file)) {
		t.Errorf("%d of %d bytes were read", r.Consumed(), len(file))
	}
}

func TestTheSameRowsAreTheSameBytesBehindTheHeader(t *testing.T) {
	t.Parallel()
	one := written(t, Header{Exported: time.Unix(1, 0), Farm: "one"})
	two := written(t, Header{Exported: time.Unix(2, 0), Farm: "two", Flamenco: "another"})
	magic := []byte{0x28, 0xB5, 0x2F, 0xFD}
	if !bytes.Equal(one[bytes.LastIndex(one, magic):], two[bytes.LastIndex(two, magic):]) || bytes.Count(one, magic) != 2 {
		t.Error("they differ")
	}
}

func TestWhatIsNoExportIsRefused(t *testing.T) {
	t.Parallel()
	whole := written(t, Header{})
	lines := strings.SplitAfter(unpacked(t, whole), "\n")
	join := func(lines ...string) []byte { return packed(t, strings.Join(lines, "")) }
	for what, c := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":                {nil, "not an export"},
		"another file":           {[]byte("PK\x03\x04 whatever this is"), "not an export"},
		"a database":             {append([]byte("SQLite format 3\x00"), make([]byte, 4096)...), "not an export"},
		"another compressed one": {packed(t, "hello\n"), "not an export"},
		"other JSON":             {packed(t, "{}\n"), "not an export"},
		"a newer format":         {join(strings.Replace(lines[0], `"version":1`, `"version":2`, 1)), "version 2 of the format"},
		"an altered header":      {join(append([]string{strings.Replace(lines[0], `"schema":0`, `"schema":1`, 1)}, lines[1:]...)...), "header of the file was altered"},
		"the header alone":       {join(lines[0]), "not complete"},
		"without an end":         {join(lines[:len(lines)-2]...), "not complete"},
		"without the last byte":  {whole[:len(whole)-1], "not complete"},
		"with more":              {append(bytes.Clone(whole), 1, 2, 3, 4), "damaged"},
		"with a line more":       {join(append(lines, "[1]\n")...), "follows the end"},
		"with a row less":        {join(append(append([]string{}, lines[:2]...), lines[3:]...)...), "rows that it should have"},
		"with other rows":        {join(append(append(append([]string{}, lines[:2]...), lines[3], lines[2]), lines[4:]...)...), "altered or damaged"},
		"with a table twice":     {join(append(append([]string{}, lines[:6]...), lines[1:]...)...), "comes twice"},
		"a row without table":    {join(lines[0], lines[2]), "should begin a table"},
		"a column more":          {join(lines[0], strings.Replace(lines[1], `}`, `,"x":1}`, 1)), "should begin a table"},
		"spaces":                 {join(lines[0], lines[1], "[1, 2]\n"), "not a row"},
		"a fraction":             {join(lines[0], lines[1], "[1.5]\n"), "not a row"},
		"a number too large":     {join(lines[0], lines[1], "[9223372036854775808]\n"), "not a row"},
		"a long header":          {packed(t, strings.Repeat("x", 1<<20)), "longer than"},
		"a bomb":                 {join(lines[0], lines[1], "[", strings.Repeat("1,", 40<<20)), "compressed more"},
	} {
		_, _, err := Verify(bytes.NewReader(c.file))
		if farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, n, err := Verify(bytes.NewReader(whole)); err != nil || n["first"] != 4 || n["empty"] != 0 {
		t.Errorf("%v, %v", n, err)
	}
}

func TestAWideWindowIsRefused(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	w, err := zstd.NewWriter(&file, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	for range 65 {
		if _, err := w.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(&file); farm.CodeOf(err) != farm.CodeInvalid {
		t.Error(err)
	}
}

// failing is a disk that cannot be read.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAFileThatCannotBeReadIsNotCalledDamaged(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is broken")
	file := written(t, Header{})
	_, _, err := Verify(io.MultiReader(bytes.NewReader(file[:len(file)/2]), failing{broken}))
	if !errors.Is(err, broken) || farm.CodeOf(err) == farm.CodeInvalid {
		t.Error(err)
	}
}

func TestARowHasOneForm(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "[", "]", "[,]", "[1,]", "[,1]", "[1 ]", "[01]", "[-0]", "[+1]", "[1e3]", "[tru]", "[True]", "[nul]", `["]`, `["a]`, `["a"b]`,
		`["\x"]`, `["\u00e9"]`, `["\u000a"]`, `["\u001F"]`, `["\t"]`, `["\/"]`, "[\"\t\"]", "[\"\xff\"]", `[{}]`, `[{"base64":"YQ=="}]`,
		`[{"base64":"/w"}]`, `[{"base64":"/x=="}]`, `[[1]]`, `[1][2]`, `{"a":1}`,
	} {
		if values, err := parseRow([]byte(line), nil); err == nil {
			t.Errorf("%s is read as %v", line, values)
		}
	}
	if _, err := appendRow(nil, []any{1.5}); err == nil {
		t.Error("a float is written")
	}
}

func FuzzReader(f *testing.F) {
	text := unpacked(f, written(f, Header{}))
	f.Add([]byte(text), true)
	f.Add(written(f, Header{}), false)
	for i := 0; i < len(text); i += 50 {
		f.Add([]byte(text[:i]), true)
	}
	f.Fuzz(func(t *testing.T, file []byte, pack bool) {
		if pack {
			file = packed(t, string(file))
		}
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		defer r.Close()
		var again bytes.Buffer
		w, err := NewWriter(&again, r.Header())
		if err != nil {
			t.Fatal(err)
		}
		for {
			name, columns, err := r.NextTable()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			if err := w.Table(name, columns); err != nil {
				t.Fatal(err)
			}
			for {
				values, ok, err := r.NextRow()
				if err != nil {
					return
				}
				if !ok {
					break
				}
				if err := w.Row(values); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if unpacked(t, again.Bytes()) != unpacked(t, file) {
			t.Error("what was read is not what would be written")
		}
	})
}

func FuzzRow(f *testing.F) {
	for _, row := range rows {
		line, err := appendRow(nil, row)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		values, err := parseRow(line, nil)
		if err != nil {
			return
		}
		if again, err := appendRow(nil, values); err != nil || !bytes.Equal(again, line) {
			t.Errorf("%q becomes %q, %v", line, again, err)
		}
	})
}
