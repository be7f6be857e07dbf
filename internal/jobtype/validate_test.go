// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
)

func TestSettingsAreCheckedAgainstTheirSchema(t *testing.T) {
	t.Parallel()
	yes := true
	schema := Type{Name: "mine", Settings: []Setting{
		{Key: "text", Type: TypeString},
		{Key: "format", Type: TypeString, Choices: []string{"PNG", "JPEG"}},
		{Key: "count", Type: TypeInt32, PropArgs: map[string]any{"min": int64(1), "max": int64(10)}},
		{Key: "any_int", Type: TypeInt32},
		{Key: "ratio", Type: TypeFloat, PropArgs: map[string]any{"min": 0.5, "max": 1.5, "precision": int64(2)}},
		{Key: "flag", Type: TypeBool, Editable: &yes},
	}}
	for _, test := range []struct {
		key   string
		value any
		want  any    // what is stored
		words string // or what the error says
	}{
		{"text", "x", "x", ""},
		{"text", "", "", ""},
		{"text", 5.0, nil, "is 5, must be of type string"},
		{"text", true, nil, "is true, must be of type string"},
		{"text", []any{"x"}, nil, "is a list"},
		{"text", map[string]any{}, nil, "is an object"},
		{"format", "PNG", "PNG", ""},
		{"format", "png", nil, `is "png", must be one of ["PNG" "JPEG"]`},
		{"count", 5.0, int64(5), ""},
		{"count", 5, int64(5), ""},
		{"count", int64(10), int64(10), ""},
		{"count", json.Number("7"), int64(7), ""},
		{"count", json.Number("seven"), nil, "must be of type int32"},
		{"count", 0.0, nil, "is 0, must be at least 1"},
		{"count", 11, nil, "is 11, must be at most 10"},
		{"count", 1.5, nil, "is 1.5, must be a whole number"},
		{"count", "5", nil, `is "5", must be of type int32`},
		{"count", strings.Repeat("5", 500), nil, "…, must be of type int32"},
		{"count", true, nil, "is true, must be of type int32"},
		{"any_int", -2147483648.0, int64(math.MinInt32), ""},
		{"any_int", 2147483648.0, nil, "does not fit in 32 bits"},
		{"any_int", uint64(1 << 63), nil, "does not fit in 32 bits"},
		{"any_int", math.Inf(1), nil, "must be of type int32"},
		{"ratio", 1.0, 1.0, ""},
		{"ratio", 1, 1.0, ""},
		{"ratio", float32(0.5), 0.5, ""},
		{"ratio", int32(1), 1.0, ""},
		{"ratio", 0.4, nil, "is 0.4, must be at least 0.5"},
		{"ratio", 2, nil, "is 2, must be at most 1.5"},
		{"ratio", math.NaN(), nil, "must be of type float"},
		{"flag", true, true, ""},
		{"flag", "true", nil, `is "true", must be of type bool`},
		{"flag", 1.0, nil, "is 1, must be of type bool"},
		{"flag", nil, nil, ""},
		{"unknown", []any{"kept"}, []any{"kept"}, ""},
	} {
		got, err := schema.fill(map[string]any{test.key: test.value})
		if test.words != "" {
			if farm.CodeOf(err) != farm.CodeInvalid || !strings.Contains(err.Error(), `setting "`+test.key+`"`) ||
				!strings.Contains(err.Error(), test.words) {
				t.Errorf("%s = %v: the error does not say %q: %v", test.key, test.value, test.words, err)
			}
			continue
		}
		want := map[string]any{test.key: test.want}
		if test.want == nil {
			want = map[string]any{}
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s = %v: %v (-want +got):\n%s", test.key, test.value, err, diff)
		}
	}
}

func TestMissingSettingsGetTheirDefaultOrAreNamed(t *testing.T) {
	t.Parallel()
	schema := Type{Name: "mine", Settings: []Setting{
		{Key: "required", Type: TypeString, Required: true},
		{Key: "both", Type: TypeInt32, Required: true, Default: int64(3)},
		{Key: "off", Type: TypeBool, Default: false},
		{Key: "absent", Type: TypeFloat, Eval: "1 + 1", Visible: "hidden"},
	}}
	got, err := schema.fill(map[string]any{"required": "x", "both": nil})
	if diff := cmp.Diff(map[string]any{"required": "x", "both": int64(3), "off": false}, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, settings := range []map[string]any{nil, {"required": nil}} {
		if _, err := schema.fill(settings); err == nil || !strings.Contains(err.Error(), `setting "required" is missing`) {
			t.Errorf("the error does not name the setting: %v", err)
		}
	}
}

func TestTheRestOfASubmissionIsCheckedToo(t *testing.T) {
	t.Parallel()
	s := setupService(t, Options{}, scriptOf(oneTask))
	known, err := s.Type(t.Context(), "mine")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		change func(*Submission)
		code   farm.Code
		words  []string
	}{
		{
			"an unknown type", func(s *Submission) { s.Type = "nope" }, farm.CodeInvalid,
			[]string{`"nope"`, "echo-sleep-test, mine, simple-blender-render"},
		},
		{"an old etag", func(s *Submission) { s.TypeETag = "old" }, farm.CodePrecondition, []string{"mine", "old", known.ETag}},
		{"no name", func(s *Submission) { s.Name = "" }, farm.CodeInvalid, []string{"name"}},
		{"a priority out of range", func(s *Submission) { s.Priority = 101 }, farm.CodeInvalid, []string{"priority is 101"}},
		{"an initial status that is none", func(s *Submission) { s.InitialStatus = "failed" }, farm.CodeInvalid, []string{"initial_status", "failed"}},
		{"a wrong setting", func(s *Submission) { s.Settings = map[string]any{"n": "x"} }, farm.CodeInvalid, []string{`setting "n"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			sub := mine(nil)
			test.change(&sub)
			mustRefuse(t, s, sub, test.code, test.words...)
		})
	}
	sub := mine(nil)
	sub.TypeETag = known.ETag
	mustCompile(t, s, sub)
}

// FuzzSettings checks that whatever passes for settings has the types that scripts and the database expect.
func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"text": "x", "format": "PNG", "count": 5, "ratio": 0.75, "flag": true, "other": [1, {"a": null}]}`))
	f.Add([]byte(`{"count": 1e400, "text": null}`))
	f.Add([]byte(`{"text": "x", "count": -0.0, "ratio": "NaN", "format": 7}`))
	f.Add([]byte(`{"text": "x", "count": 2147483648, "flag": "true"}`))
	f.Add([]byte(`{"text": "\u0000\ud800", "count": 1.0000000000000001}`))
	schema := Type{Name: "mine", Settings: []Setting{
		{Key: "text", Type: TypeString, Required: true},
		{Key: "format", Type: TypeString, Choices: []string{"PNG", "JPEG"}, Default: "PNG"},
		{Key: "count", Type: TypeInt32, PropArgs: map[string]any{"min": int64(-5), "max": int64(10)}},
		{Key: "ratio", Type: TypeFloat, PropArgs: map[string]any{"min": 0.5}},
		{Key: "flag", Type: TypeBool},
	}}
	f.Fuzz(func(t *testing.T, text []byte) {
		var settings map[string]any
		if json.Unmarshal(text, &settings) != nil {
			return
		}
		filled, err := schema.fill(settings)
		if err != nil {
			if farm.CodeOf(err) != farm.CodeInvalid {
				t.Errorf("%s: an error that nobody may see: %v", text, err)
			}
			return
		}
		for key, v := range filled {
			right := true
			switch key {
			case "text":
				_, right = v.(string)
			case "format":
				right = v == "PNG" || v == "JPEG"
			case "count":
				n, ok := v.(int64)
				right = ok && n >= -5 && n <= 10
			case "ratio":
				n, ok := v.(float64)
				right = ok && n >= 0.5
			case "flag":
				_, right = v.(bool)
			}
			if !right {
				t.Errorf("%s: %s is the %T %v", text, key, v, v)
			}
		}
		if filled["text"] == nil {
			t.Errorf("%s: the required setting is missing", text)
		}
		again, err := schema.fill(filled)
		if diff := cmp.Diff(filled, again); err != nil || diff != "" {
			t.Errorf("%s: checked again: %v %s", text, err, diff)
		}
	})
}
