// SPDX-License-Identifier: GPL-3.0-or-later

package variables

import (
	"cmp"
	"maps"
	"slices"
)

// twoWay is a two-way variable as one platform knows it.
type twoWay struct{ name, value string }

// twoWays are the two-way variables among resolved that stand for something, the longest value first, so that the
// nearest folder wins. Equal values go by their names: the same input always gives the same result.
func twoWays(resolved map[string]Resolved) []twoWay {
	var all []twoWay
	for name, r := range resolved {
		if r.TwoWay && r.Value != "" {
			all = append(all, twoWay{name, r.Value})
		}
	}
	slices.SortFunc(all, func(a, b twoWay) int {
		return cmp.Or(cmp.Compare(len(b.value), len(a.value)), cmp.Compare(a.name, b.name))
	})
	return all
}

// Inbound puts the names of two-way variables for the paths that the strings of a job begin with, and those of its lists,
// as Workers on the submitter's platform would see them. What is given is not changed.
func (s *Set) Inbound(settings map[string]any, platform string) map[string]any {
	name := s.namer(platform)
	named := maps.Clone(settings)
	for key, value := range named {
		named[key] = eachString(value, name)
	}
	return named
}

// InboundText is Inbound for values that are strings only.
func (s *Set) InboundText(values map[string]string, platform string) map[string]string {
	name := s.namer(platform)
	named := maps.Clone(values)
	for key, value := range named {
		named[key] = name(value)
	}
	return named
}

func (s *Set) namer(platform string) func(string) string {
	candidates := twoWays(s.Resolve(ForWorkers, platform))
	return func(text string) string {
		for _, v := range candidates {
			if rest, ok := cutPrefix(text, v.value, ignoresCase(platform)); ok {
				return "{" + v.name + "}" + rest
			}
		}
		return text
	}
}

// eachString applies change to a string or to those of a list, on a copy; other values stay as they are.
func eachString(value any, change func(string) string) any {
	switch v := value.(type) {
	case string:
		return change(v)
	case []string:
		list := make([]string, len(v))
		for i, text := range v {
			list[i] = change(text)
		}
		return list
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = item
			if text, ok := item.(string); ok {
				list[i] = change(text)
			}
		}
		return list
	}
	return value
}
