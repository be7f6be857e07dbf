// SPDX-License-Identifier: GPL-3.0-or-later

package export

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

const (
	bytesBegin = `{"base64":"`
	bytesEnd   = `"}`
	hexDigits  = "0123456789abcdef"
)

// appendRow adds values as an array. Each has one form only, which parseRow insists on.
func appendRow(line []byte, values []any) ([]byte, error) {
	line = append(line, '[')
	for i, value := range values {
		if i > 0 {
			line = append(line, ',')
		}
		switch v := value.(type) {
		case nil:
			line = append(line, "null"...)
		case int64:
			line = strconv.AppendInt(line, v, 10)
		case bool:
			line = strconv.AppendBool(line, v)
		case string:
			line = appendText(line, v)
		default:
			return line, fmt.Errorf("a %T cannot be exported", value)
		}
	}
	return append(line, ']'), nil
}

func appendText(line []byte, text string) []byte {
	if !utf8.ValidString(text) {
		line = append(line, bytesBegin...)
		line = base64.StdEncoding.AppendEncode(line, []byte(text))
		return append(line, bytesEnd...)
	}
	line = append(line, '"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			line = append(line, '\\', c)
		case c == '\n':
			line = append(line, '\\', 'n')
		case c < ' ':
			line = append(line, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			line = append(line, c)
		}
	}
	return append(line, '"')
}

var errRow = errors.New("this is not a row as an export has it")

// parseRow reads an array of values into those that there are.
func parseRow(line []byte, values []any) ([]any, error) {
	values = values[:0]
	if len(line) < 2 || line[0] != '[' || line[len(line)-1] != ']' {
		return values, errRow
	}
	rest := line[1 : len(line)-1]
	for len(rest) > 0 || len(values) > 0 {
		value, n, err := parseValue(rest)
		if err != nil {
			return values, err
		}
		values = append(values, value)
		if rest = rest[n:]; len(rest) == 0 {
			break
		}
		if rest[0] != ',' {
			return values, errRow
		}
		rest = rest[1:]
	}
	return values, nil
}

// parseValue reads one value and says how many bytes it takes.
func parseValue(rest []byte) (value any, n int, err error) {
	switch {
	case len(rest) == 0:
	case rest[0] == '"':
		return parseText(rest)
	case rest[0] == '{':
		return parseBytes(rest)
	}
	word := rest
	if i := bytes.IndexByte(rest, ','); i >= 0 {
		word = rest[:i]
	}
	switch string(word) {
	case "null":
		return nil, len(word), nil
	case "true":
		return true, len(word), nil
	case "false":
		return false, len(word), nil
	}
	number, err := strconv.ParseInt(string(word), 10, 64)
	if err != nil || len(strconv.AppendInt(nil, number, 10)) != len(word) {
		return nil, 0, errRow
	}
	return number, len(word), nil
}

func parseText(rest []byte) (string, int, error) {
	plain := 1 // up to here nothing is quoted
	for plain < len(rest) && rest[plain] != '"' && rest[plain] != '\\' && rest[plain] >= ' ' {
		plain++
	}
	if plain < len(rest) && rest[plain] == '"' {
		return checkedText(rest[1:plain], plain+1)
	}
	text := append([]byte(nil), rest[1:plain]...)
	for i := plain; i < len(rest); {
		switch c := rest[i]; {
		case c == '"':
			return checkedText(text, i+1)
		case c < ' ':
			return "", 0, errRow
		case c != '\\':
			text = append(text, c)
			i++
		default:
			quoted, n := unquote(rest[i:])
			if n == 0 {
				return "", 0, errRow
			}
			text = append(text, quoted)
			i += n
		}
	}
	return "", 0, errRow
}

// unquote reads what a backslash begins; 0 bytes long is what appendText does not write.
func unquote(rest []byte) (c byte, n int) {
	if len(rest) < 2 {
		return 0, 0
	}
	switch rest[1] {
	case '"', '\\':
		return rest[1], 2
	case 'n':
		return '\n', 2
	case 'u':
		if len(rest) < 6 || rest[2] != '0' || rest[3] != '0' {
			return 0, 0
		}
		high, low := bytes.IndexByte([]byte(hexDigits), rest[4]), bytes.IndexByte([]byte(hexDigits), rest[5])
		if c := high<<4 | low; high >= 0 && low >= 0 && c < ' ' && c != '\n' {
			return byte(c), 6
		}
	}
	return 0, 0
}

func checkedText(text []byte, n int) (string, int, error) {
	if !utf8.Valid(text) {
		return "", 0, errRow
	}
	return string(text), n, nil
}

func parseBytes(rest []byte) (string, int, error) {
	inner, ok := bytes.CutPrefix(rest, []byte(bytesBegin))
	stop := bytes.Index(inner, []byte(bytesEnd))
	if !ok || stop < 0 {
		return "", 0, errRow
	}
	text, err := base64.StdEncoding.Strict().DecodeString(string(inner[:stop]))
	if err != nil || utf8.Valid(text) || bytes.ContainsAny(inner[:stop], "\r\n") {
		return "", 0, errRow
	}
	return string(text), len(bytesBegin) + stop + len(bytesEnd), nil
}
