// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
)

var (
	settingTypes = []SettingType{TypeString, TypeInt32, TypeFloat, TypeBool}
	subtypes     = []string{"file_path", "dir_path", "file_name", "hashed_file_path"}
	visibilities = []string{"visible", "hidden", "submission", "web"}
	keyPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// declared is JOB_TYPE as the script wrote it. Unknown fields are ignored: upstream dropped some and may add others.
type declared struct {
	Label       string            `json:"label"`
	Description string            `json:"description"`
	Settings    []json.RawMessage `json:"settings"`
}

type declaredSetting struct {
	Key         string         `json:"key"`
	Type        SettingType    `json:"type"`
	Subtype     string         `json:"subtype"`
	Choices     []string       `json:"choices"`
	PropArgs    map[string]any `json:"propargs"`
	Description string         `json:"description"`
	Label       string         `json:"label"`
	Default     any            `json:"default"`
	Eval        string         `json:"eval"`
	EvalInfo    *EvalInfo      `json:"evalInfo"`
	Visible     string         `json:"visible"`
	Required    bool           `json:"required"`
	Editable    *bool          `json:"editable"`
}

// parseType checks a script's JOB_TYPE and makes a Type of it. Its errors are for the script's author.
func parseType(name string, text []byte) (Type, error) {
	var d declared
	if err := decode(text, &d); err != nil {
		return Type{}, fmt.Errorf("JOB_TYPE: %w", explained(err))
	}
	if d.Label == "" {
		return Type{}, fmt.Errorf("JOB_TYPE has no label")
	}
	t := Type{Name: name, Label: d.Label, Description: d.Description, Settings: make([]Setting, 0, len(d.Settings))}
	seen := map[string]bool{}
	for i, raw := range d.Settings {
		s, err := parseSetting(raw)
		switch {
		case err != nil && s.Key == "":
			return Type{}, fmt.Errorf("JOB_TYPE.settings[%d]: %w", i, err)
		case err != nil:
			return Type{}, fmt.Errorf("JOB_TYPE setting %q: %w", s.Key, err)
		case seen[s.Key]:
			return Type{}, fmt.Errorf("JOB_TYPE setting %q is there twice", s.Key)
		}
		seen[s.Key] = true
		t.Settings = append(t.Settings, s)
	}
	var err error
	t.ETag, err = etag(t)
	return t, err
}

func parseSetting(raw json.RawMessage) (Setting, error) {
	var d declaredSetting
	if err := decode(raw, &d); err != nil {
		return Setting{Key: d.Key}, explained(err)
	}
	s := Setting{
		Key: d.Key, Type: d.Type, Subtype: d.Subtype, Choices: d.Choices, Description: d.Description, Label: d.Label,
		Eval: d.Eval, EvalInfo: d.EvalInfo, Visible: d.Visible, Required: d.Required, Editable: d.Editable,
	}
	if d.PropArgs != nil {
		s.PropArgs, _ = numbers(d.PropArgs).(map[string]any)
	}
	switch {
	case !keyPattern.MatchString(s.Key):
		return s, fmt.Errorf("key %q is not a name", s.Key)
	case !slices.Contains(settingTypes, s.Type):
		return s, fmt.Errorf("type is %q, must be one of %v", s.Type, settingTypes)
	case s.Subtype != "" && !slices.Contains(subtypes, s.Subtype):
		return s, fmt.Errorf("subtype is %q, must be one of %v", s.Subtype, subtypes)
	case s.Visible != "" && !slices.Contains(visibilities, s.Visible):
		return s, fmt.Errorf("visible is %q, must be one of %v", s.Visible, visibilities)
	case s.Choices != nil && s.Type != TypeString:
		return s, fmt.Errorf("choices are for settings of type string, not %s", s.Type)
	}
	if d.Default != nil {
		v, err := s.coerce(numbers(d.Default))
		if err != nil {
			return s, fmt.Errorf("default %w", err)
		}
		s.Default = v
	}
	return s, nil
}

// decode reads JSON and keeps numbers as they were written; numbers() then makes Go numbers of them.
func decode(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// explained says in the words of scripts what the decoder says in those of Go.
func explained(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	want := wrong.Type.Kind().String()
	switch wrong.Type.Kind() {
	case reflect.Slice:
		want = "list"
	case reflect.Map, reflect.Struct:
		want = "object"
	}
	return fmt.Errorf("%s: must be of type %s, not %s", cmp.Or(wrong.Field, "it"), want, wrong.Value)
}

// numbers replaces each json.Number in v: whole numbers become int64, so that 5 is written as 5 again, others float64.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	}
	return v
}
