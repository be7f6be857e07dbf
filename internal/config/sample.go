// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/internal/variables"
)

// Sample is a configuration file that says what every setting does, with the values of c.
func Sample(c Config) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	add(root, "_meta", "", version())
	for _, s := range settings {
		section, name := placeOf(root, s.key)
		add(section, name, s.doc, s.node(c))
	}
	add(root, "variables", "What {name} in a command stands for, per platform and audience (all, workers or users).", variablesNode(c.Variables))

	return encode(root, header())
}

// header says what the file is; every file that the Manager makes begins with it.
func header() string {
	return fmt.Sprintf("# Configuration of the Flamenco Manager.\n# An environment variable %s<SETTING> overrides a setting, such as %s.\n\n",
		EnvPrefix, EnvName("job_compiler.time_limit"))
}

func encode(root *yaml.Node, start string) ([]byte, error) {
	out := bytes.NewBufferString(start)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(root), encoder.Close()); err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return out.Bytes(), nil
}

// WriteSample writes a sample to path, which must not exist: nothing of what somebody wrote is lost.
func WriteSample(path string, c Config) error {
	text, err := Sample(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; move it away first", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write the configuration: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("cannot write the configuration: %w", errors.Join(err, os.Remove(path)))
	}
	return nil
}

// node is the value of a setting as YAML has it.
func (s setting) node(c Config) *yaml.Node {
	if s.kind == kindText {
		return scalar(s.format(c))
	}
	return literal(s.format(c))
}

// scalar is a text, in quotes where YAML would read it as something else.
func scalar(text string) *yaml.Node {
	node := &yaml.Node{}
	node.SetString(text)
	if text == "" {
		node.Style = yaml.DoubleQuotedStyle
	}
	return node
}

// literal is a number or a truth value.
func literal(text string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: text} }

func version() *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	add(node, "version", "", literal(fileVersion))
	return node
}

func add(section *yaml.Node, name, doc string, value *yaml.Node) {
	key := scalar(name)
	key.HeadComment = doc
	section.Content = append(section.Content, key, value)
}

// placeOf is the section that holds a setting, made if need be, and the setting's name there.
func placeOf(root *yaml.Node, key string) (section *yaml.Node, name string) {
	for {
		before, after, nested := strings.Cut(key, ".")
		if !nested {
			return root, key
		}
		root, key = sectionOf(root, before), after
	}
}

func sectionOf(root *yaml.Node, name string) *yaml.Node {
	if value := valueOf(root, name); value != nil {
		return value
	}
	section := &yaml.Node{Kind: yaml.MappingNode}
	add(root, name, "", section)
	return section
}

// valueOf is the value of a key of a mapping, nil if it is not there.
func valueOf(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

func variablesNode(all map[string]variables.Definition) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		values := &yaml.Node{Kind: yaml.SequenceNode}
		for _, v := range all[name].Values {
			platforms := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
			for _, platform := range v.Platforms {
				platforms.Content = append(platforms.Content, scalar(platform))
			}
			item := &yaml.Node{Kind: yaml.MappingNode}
			add(item, "platforms", "", platforms)
			add(item, "audience", "", scalar(string(v.Audience)))
			add(item, "value", "", scalar(v.Value))
			values.Content = append(values.Content, item)
		}
		definition := &yaml.Node{Kind: yaml.MappingNode}
		if all[name].TwoWay {
			add(definition, "is_twoway", "", literal("true"))
		}
		add(definition, "values", "", values)
		add(node, name, "", definition)
	}
	return node
}
