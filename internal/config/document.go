// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/internal/variables"
)

// Mask is shown instead of a secret that is set. Written back, it leaves the secret as it is.
const Mask = "********"

// variablesKey is the section of the variables, the only setting that is no single value.
const variablesKey = "variables"

// Document is the file as nested maps, with the default of what it does not say, without the environment and without
// secrets.
func (l *Live) Document() map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	return document(settings, l.file)
}

func document(all []setting, c Config) map[string]any {
	doc := map[string]any{
		"_meta":      map[string]any{"version": json.Number(fileVersion)},
		variablesKey: variablesDocument(c.Variables),
	}
	for _, s := range all {
		section, keys := doc, strings.Split(s.key, ".")
		for _, name := range keys[:len(keys)-1] {
			if section[name] == nil {
				section[name] = map[string]any{}
			}
			section, _ = section[name].(map[string]any)
		}
		section[keys[len(keys)-1]] = s.shown(c)
	}
	return doc
}

// shown is the value of a setting as JSON has it.
func (s setting) shown(c Config) any {
	text := s.format(c)
	switch {
	case s.hides(text):
		return Mask
	case s.kind == kindNumber:
		return json.Number(text)
	case s.kind == kindBoolean:
		return text == "true"
	}
	return text
}

func variablesDocument(all map[string]variables.Definition) map[string]any {
	doc := make(map[string]any, len(all))
	for name, definition := range all {
		values := make([]any, len(definition.Values))
		for i, v := range definition.Values {
			value := map[string]any{"audience": string(v.Audience), "value": v.Value}
			if len(v.Platforms) == 1 {
				value["platform"] = v.Platforms[0]
			} else {
				value["platforms"] = v.Platforms
			}
			values[i] = value
		}
		doc[name] = map[string]any{"is_twoway": definition.TwoWay, "values": values}
	}
	return doc
}

// nodeOf is a document as YAML. What is null is as good as not there.
func nodeOf(value any) (*yaml.Node, error) {
	switch v := value.(type) {
	case map[string]any:
		node := &yaml.Node{Kind: yaml.MappingNode}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if v[key] == nil {
				continue
			}
			item, err := nodeOf(v[key])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			add(node, key, "", item)
		}
		return node, nil
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode}
		for i, given := range v {
			item, err := nodeOf(given)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			node.Content = append(node.Content, item)
		}
		return node, nil
	case string:
		node := &yaml.Node{}
		node.SetString(v)
		return node, nil
	case bool:
		return literal(strconv.FormatBool(v)), nil
	case float64:
		return literal(strconv.FormatFloat(v, 'f', -1, 64)), nil
	case json.Number:
		return literal(v.String()), nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
	}
	return nil, fmt.Errorf("%T is nothing that a configuration can hold", value)
}

// unmask puts the secrets of old where wanted holds their mask.
func unmask(all []setting, wanted *yaml.Node, old Config) {
	for _, s := range all {
		if !s.secret && s.secretIf == nil {
			continue
		}
		node := wanted
		for name := range strings.SplitSeq(s.key, ".") {
			if node != nil {
				node = valueOf(node, name)
			}
		}
		if node != nil && node.Value == Mask {
			node.SetString(s.format(old))
		}
	}
}

// sentence is all that is wrong, for an answer of one line.
func sentence(problems []error) string {
	texts := make([]string, len(problems))
	for i, err := range problems {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}
