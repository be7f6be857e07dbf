// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"flamenco.farm/internal/farm"
)

// fill checks settings against the type's schema and returns a copy in which missing ones have their default. Settings
// without a default stay absent, and unknown ones are kept: scripts read settings that their schema does not list.
func (t *Type) fill(settings map[string]any) (map[string]any, error) {
	filled := make(map[string]any, len(settings)+len(t.Settings))
	maps.Copy(filled, settings)
	for i := range t.Settings {
		s := &t.Settings[i]
		v := filled[s.Key]
		switch {
		case v == nil && s.Default != nil:
			filled[s.Key] = s.Default
			continue
		case v == nil && s.Required:
			return nil, farm.Errorf(farm.CodeInvalid, "setting %q is missing; job type %s requires it", s.Key, t.Name)
		case v == nil:
			delete(filled, s.Key)
			continue
		}
		checked, err := s.check(v)
		if err != nil {
			return nil, farm.Errorf(farm.CodeInvalid, "setting %q %v", s.Key, err)
		}
		filled[s.Key] = checked
	}
	return filled, nil
}

func (s *Setting) check(v any) (any, error) {
	v, err := s.coerce(v)
	if err != nil {
		return nil, err
	}
	if text, ok := v.(string); ok && len(s.Choices) > 0 && !slices.Contains(s.Choices, text) {
		return nil, fmt.Errorf("is %q, must be one of %q", text, s.Choices)
	}
	if n, ok := number(v); ok {
		if low, ok := number(s.PropArgs["min"]); ok && n < low {
			return nil, fmt.Errorf("is %v, must be at least %v", v, s.PropArgs["min"])
		}
		if high, ok := number(s.PropArgs["max"]); ok && n > high {
			return nil, fmt.Errorf("is %v, must be at most %v", v, s.PropArgs["max"])
		}
	}
	return v, nil
}

// coerce returns v as the one Go type that the setting's values have: string, int64, float64 or bool.
func (s *Setting) coerce(v any) (any, error) {
	switch s.Type {
	case TypeString:
		if text, ok := v.(string); ok {
			return text, nil
		}
	case TypeBool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case TypeFloat:
		if n, ok := number(v); ok {
			return n, nil
		}
	case TypeInt32:
		n, ok := number(v)
		if !ok {
			break
		}
		if n != math.Trunc(n) {
			return nil, fmt.Errorf("is %s, must be a whole number", show(v))
		}
		if n < math.MinInt32 || n > math.MaxInt32 {
			return nil, fmt.Errorf("is %s, which does not fit in 32 bits", show(v))
		}
		return int64(n), nil
	}
	return nil, fmt.Errorf("is %s, must be of type %s", show(v), s.Type)
}

// number accepts what JSON and YAML decoders and our own code make of a number; anything infinite is none.
func number(v any) (n float64, ok bool) {
	switch v := v.(type) {
	case int:
		n = float64(v)
	case int32:
		n = float64(v)
	case int64:
		n = float64(v)
	case uint64:
		n = float64(v)
	case float32:
		n = float64(v)
	case float64:
		n = v
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return 0, false
		}
		n = f
	default:
		return 0, false
	}
	return n, !math.IsNaN(n) && !math.IsInf(n, 0)
}

// show prints a value for an error message, cut to a readable length.
func show(v any) string {
	var text string
	switch v := v.(type) {
	case string:
		text = strconv.Quote(v)
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	default:
		text = fmt.Sprint(v)
	}
	return shorten(text, 100)
}

// shorten cuts text to at most limit runes.
func shorten(text string, limit int) string {
	n := 0
	for i := range text {
		if n == limit {
			return text[:i] + "…"
		}
		n++
	}
	return text
}
