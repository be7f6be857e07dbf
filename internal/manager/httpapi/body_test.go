// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"encoding/json"
	"testing"
)

// readable is what the gate and a decoder behind it make of a body together.
func readable(text []byte) bool {
	if !isOneObject(text) && !json.Valid(text) {
		return false
	}
	return json.NewDecoder(bytes.NewReader(text)).Decode(new(json.RawMessage)) == nil
}

var bodies = []string{
	`{}`, ` {"a": "b"} `, `{"a":"}"}`, `{"a":"\""}`, `{"a":"\\"}`, `{"a":"\\\""}`, `{"a":[{"b":{}}]}`, `{"a":1}` + "\n",
	`{}{}`, `{} x`, `{"a":1}}`, `{"a"}`, `{"a":[1}`, `{"a":"b`, `{"a":"\"}`, `[]`, `[{}]`, `1`, `null`, ``, ` `, `{`, `}`, `]`, `{]`, `"{}"`,
}

func TestABodyIsReadAsOneJSONValueOrNotAtAll(t *testing.T) {
	t.Parallel()
	for _, text := range bodies {
		if got, want := readable([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Errorf("%q: read = %v, want %v", text, got, want)
		}
	}
}

func FuzzABodyIsReadAsOneJSONValueOrNotAtAll(f *testing.F) {
	for _, text := range bodies {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := readable(text), json.Valid(text); got != want {
			t.Errorf("%q: read = %v, want %v", text, got, want)
		}
	})
}
