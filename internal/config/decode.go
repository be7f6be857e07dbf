// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder fills a Config and collects everything that is wrong on the way.
type decoder struct {
	file     string
	cfg      *Config
	log      *slog.Logger
	problems []error
}

// problem is something wrong in the file; the message starts as compilers' do, so that editors jump to the line. What did
// not come from a file has no lines.
func (d *decoder) problem(node *yaml.Node, key, format string, args ...any) {
	err := fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	if d.file != "" {
		err = fmt.Errorf("%s:%d: %w", d.file, node.Line, err)
	}
	d.problems = append(d.problems, err)
}

// decodeFile reads text and returns the YAML document in it, nil if it holds no settings.
func (d *decoder) decodeFile(text []byte) *yaml.Node {
	document := new(yaml.Node)
	if err := yaml.Unmarshal(text, document); err != nil {
		d.problems = append(d.problems, fmt.Errorf("%s: %s", d.file, strings.TrimPrefix(err.Error(), "yaml: ")))
		return nil
	}
	if len(document.Content) == 0 {
		return nil // empty, or comments only
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.Tag != "!!null" {
			d.problems = append(d.problems, fmt.Errorf("%s:%d: must be a mapping of settings", d.file, root.Line))
		}
		return nil
	}
	d.decodeSection(root, "")
	return document
}

// decodeSection walks a mapping whose settings start with prefix.
func (d *decoder) decodeSection(section *yaml.Node, prefix string) {
	d.eachKey(section, prefix, func(name string, key, value *yaml.Node) {
		path := prefix + name
		switch {
		case path == "_meta":
			d.decodeMeta(value)
		case path == "variables":
			d.decodeVariables(value)
		case isSection(path):
			if value.Kind != yaml.MappingNode {
				d.problem(value, path, "must be a mapping of settings")
				return
			}
			d.decodeSection(value, path+".")
		default:
			d.decodeSetting(key, value, path)
		}
	})
}

// eachKey calls do for every key of a mapping, and refuses keys given twice: YAML leaves open which one counts.
func (d *decoder) eachKey(mapping *yaml.Node, prefix string, do func(name string, key, value *yaml.Node)) {
	seen := make(map[string]int)
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		name := key.Value
		if first, twice := seen[name]; twice {
			d.problem(key, prefix+name, "is given twice, first on line %d", first)
			continue
		}
		seen[name] = key.Line
		do(name, key, value)
	}
}

func isSection(path string) bool {
	return slices.ContainsFunc(settings, func(s setting) bool { return strings.HasPrefix(s.key, path+".") })
}

func (d *decoder) decodeSetting(key, value *yaml.Node, path string) {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == path })
	if i < 0 {
		d.problem(key, path, "unknown setting%s", didYouMean(path))
		return
	}
	scalar, ok := scalarOf(value)
	if !ok {
		d.problem(value, path, "must be a single value")
		return
	}
	if err := settings[i].parse(d.cfg, scalar); err != nil {
		d.problem(value, path, "%s", err)
	}
}

func (d *decoder) decodeMeta(meta *yaml.Node) {
	if meta.Kind != yaml.MappingNode {
		d.problem(meta, "_meta", "must be a mapping with the key version")
		return
	}
	d.eachKey(meta, "_meta.", func(name string, key, value *yaml.Node) {
		switch {
		case name != "version":
			d.problem(key, "_meta."+name, "unknown setting; did you mean _meta.version?")
		case value.Value != fileVersion:
			d.problem(value, "_meta.version", "%q is not a version that this Manager understands; it must be %s", value.Value, fileVersion)
		}
	})
}

// scalarOf is the text of a single value; an empty one counts as "".
func scalarOf(node *yaml.Node) (string, bool) {
	if node.Kind != yaml.ScalarNode {
		return "", false
	}
	if node.Tag == "!!null" {
		return "", true
	}
	return node.Value, true
}

// didYouMean names the known setting that is nearest to path, if one is near.
func didYouMean(path string) string {
	known := []string{"_meta.version", "variables"}
	for _, s := range settings {
		known = append(known, s.key)
	}
	best, nearest := 1+max(2, len(path)/3), ""
	for _, name := range known {
		if n := distance(path, name); n < best {
			best, nearest = n, name
		}
	}
	if nearest == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", nearest)
}

// distance is the number of letters to insert, delete or replace to get from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
