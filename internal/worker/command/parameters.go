// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/kballard/go-shellquote"

	"flamenco.farm/internal/farm"
)

// parameters reads the parameters of one command and keeps the first mistake.
type parameters struct {
	command string
	values  map[string]any
	err     error
}

func (p *parameters) fail(name, format string, args ...any) {
	if p.err == nil {
		p.err = farm.Errorf(farm.CodeInvalid, "parameter %q of command %s %s", name, p.command, fmt.Sprintf(format, args...))
	}
}

// present returns a mandatory parameter.
func (p *parameters) present(name string) (any, bool) {
	value, ok := p.values[name]
	if !ok || value == nil {
		p.fail(name, "is missing")
		return nil, false
	}
	return value, true
}

// anyText is a mandatory text.
func (p *parameters) anyText(name string) string {
	value, ok := p.present(name)
	if !ok {
		return ""
	}
	text, ok := value.(string)
	if !ok {
		p.fail(name, "must be a text, not %s", kind(value))
	}
	return text
}

// text is a mandatory text that is not empty.
func (p *parameters) text(name string) string {
	text := p.anyText(name)
	if text == "" {
		p.fail(name, "is empty")
	}
	return text
}

// words is an optional text that is split as a shell would.
func (p *parameters) words(name string) []string {
	if p.values[name] == nil {
		return nil
	}
	words, err := shellquote.Split(p.anyText(name))
	if err != nil {
		p.fail(name, "cannot be split into arguments: %v", err)
	}
	return words
}

// list is an optional list of texts; numbers and booleans in it become texts.
func (p *parameters) list(name string) []string {
	value := p.values[name]
	if value == nil {
		return nil
	}
	if texts, ok := value.([]string); ok {
		return texts
	}
	elements, ok := value.([]any)
	if !ok {
		p.fail(name, "must be a list, not %s", kind(value))
		return nil
	}
	texts := make([]string, 0, len(elements))
	for i, element := range elements {
		text, ok := scalar(element)
		if !ok {
			p.fail(name, "must be a list of texts and numbers, but element %d is %s", i+1, kind(element))
			return nil
		}
		texts = append(texts, text)
	}
	return texts
}

// number is a mandatory number.
func (p *parameters) number(name string) float64 {
	value, ok := p.present(name)
	if !ok {
		return 0
	}
	switch n := value.(type) {
	case float64:
		return n
	case int:
		return float64(n)
	case int64:
		return float64(n)
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	p.fail(name, "must be a number, not %s", kind(value))
	return 0
}

// scalar turns a text, a number or a boolean into a text.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case int, int64, bool, json.Number:
		return fmt.Sprint(v), true
	}
	return "", false
}

func kind(value any) string {
	switch v := value.(type) {
	case nil:
		return "nothing"
	case string:
		return fmt.Sprintf("the text %.40q", v)
	case bool:
		return "a boolean"
	case float64, int, int64, json.Number:
		return "a number"
	case []any, []string:
		return "a list"
	}
	return "an object"
}
