// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"flamenco.farm/internal/auth"
	"flamenco.farm/internal/farm"
)

// NUL is a character of JSON, and none of a text in PostgreSQL. So that a farm is the same on every database, no text with it
// passes the gate: people hear what is wrong, and Workers, which would only send it again, get a U+FFFD in its place.

// nul and its replacement are what they look like in JSON, where NUL has no other form.
var nul, replacement = []byte(`\u0000`), []byte(`\ufffd`)

// keepNUL are the fields of Workers that are in no database: a file has them, or only their hash is kept.
var keepNUL = []string{"log", "secret"}

// ofWorkers reports whether an operation is one of Workers.
func ofWorkers(operationID string) bool {
	rule, _ := auth.RuleOf(operationID)
	return rule == auth.WorkerOnly || operationID == "registerWorker"
}

// isText reports whether every database can store a text.
func isText(text string) bool { return utf8.ValidString(text) && !strings.Contains(text, "\x00") }

func isNoText(text string) bool { return !isText(text) }

// hasNUL reports whether a NUL may be in JSON.
func hasNUL(text []byte) bool { return bytes.Contains(text, nul) }

// replaceNUL replaces NUL in the texts of a JSON object, but for keepNUL. What is not an object stays: nobody takes it.
func replaceNUL(text []byte) []byte {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		return text
	}
	for name, value := range fields {
		if !slices.ContainsFunc(keepNUL, func(kept string) bool { return strings.EqualFold(kept, name) }) {
			fields[name] = replaceEscapes(value)
		}
	}
	replaced, err := json.Marshal(fields)
	if err != nil {
		return text
	}
	return replaced
}

// replaceEscapes replaces \u0000 wherever its backslash is not itself the end of \\.
func replaceEscapes(text []byte) []byte {
	text = bytes.Clone(text)
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if bytes.HasPrefix(text[i:], nul) {
				copy(text[i:], replacement)
			}
			i++
		}
	}
	return text
}

// refuseNUL is an error that names the first field of JSON with NUL in it.
func refuseNUL(text []byte) error {
	if !hasNUL(text) {
		return nil
	}
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return badRequest(err)
	}
	if where, found := findNUL(nil, value); found {
		return farm.Errorf(farm.CodeInvalid, "request body has an error: %s: there is a NUL (\\u0000) in the text, which cannot be stored",
			strings.Join(where, "."))
	}
	return nil
}

func findNUL(where []string, value any) ([]string, bool) {
	switch v := value.(type) {
	case string:
		return where, strings.Contains(v, "\x00")
	case []any:
		for i, item := range v {
			if found, ok := findNUL(append(where, strconv.Itoa(i)), item); ok {
				return found, true
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if strings.Contains(name, "\x00") {
				return append(where, strings.ReplaceAll(name, "\x00", "\uFFFD")), true
			}
			if found, ok := findNUL(append(where, name), v[name]); ok {
				return found, true
			}
		}
	}
	return nil, false
}
