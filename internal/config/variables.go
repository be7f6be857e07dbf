// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/internal/variables"
)

// decodeVariables reads the section of variables. It replaces the default variables as a whole.
func (d *decoder) decodeVariables(section *yaml.Node) {
	if text, ok := scalarOf(section); ok && text == "" {
		d.cfg.Variables = nil
		return
	}
	if section.Kind != yaml.MappingNode {
		d.problem(section, "variables", "must be a mapping from names to values")
		return
	}
	d.cfg.Variables = make(map[string]variables.Definition)
	d.eachKey(section, "variables.", func(name string, key, value *yaml.Node) {
		path := "variables." + name
		switch {
		case name == "" || strings.ContainsAny(name, "{}"):
			d.problem(key, path, "is no name for a variable: it must not be empty nor contain braces")
		case name == variables.Jobs:
			d.log.Warn("the variable jobs always is the shared storage path; the one in the configuration is ignored", "file", d.file, "line", key.Line)
		default:
			d.cfg.Variables[name] = d.decodeVariable(value, path)
		}
	})
}

func (d *decoder) decodeVariable(node *yaml.Node, path string) variables.Definition {
	var definition variables.Definition
	if node.Kind != yaml.MappingNode {
		d.problem(node, path, "must be a mapping with the keys values and is_twoway")
		return definition
	}
	d.eachKey(node, path+".", func(name string, key, value *yaml.Node) {
		switch name {
		case "is_twoway":
			if err := value.Decode(&definition.TwoWay); err != nil {
				d.problem(value, path+".is_twoway", "must be true or false")
			}
		case "values":
			if value.Kind != yaml.SequenceNode {
				d.problem(value, path+".values", "must be a list")
				return
			}
			for i, item := range value.Content {
				if item.Kind == yaml.AliasNode {
					item = item.Alias
				}
				definition.Values = append(definition.Values, d.decodeValue(item, fmt.Sprintf("%s.values[%d]", path, i)))
			}
		default:
			d.problem(key, path+"."+name, "unknown key; known are is_twoway and values")
		}
	})
	return definition
}

func (d *decoder) decodeValue(node *yaml.Node, path string) variables.Value {
	value := variables.Value{Audience: variables.ForAll}
	if node.Kind != yaml.MappingNode {
		d.problem(node, path, "must be a mapping with the keys platform, audience and value")
		return value
	}
	d.eachKey(node, path+".", func(name string, key, item *yaml.Node) {
		text, scalar := scalarOf(item)
		switch {
		case name == "platforms" && item.Kind == yaml.SequenceNode:
			for _, platform := range item.Content {
				if platform.Kind == yaml.AliasNode {
					platform = platform.Alias
				}
				value.Platforms = append(value.Platforms, platform.Value)
			}
		case !scalar:
			d.problem(item, path+"."+name, "must be a single value")
		case name == "value":
			value.Value = text
		case name == "platform", name == "platforms":
			if text != "" { // the other key may have it
				value.Platforms = append(value.Platforms, text)
			}
		case name == "audience" && text != "":
			value.Audience = variables.Audience(text)
			if !slices.Contains(variables.Audiences, value.Audience) {
				d.problem(item, path+".audience", "%q is none of all, workers, users", text)
			}
		case name != "audience":
			d.problem(key, path+"."+name, "unknown key; known are platform, platforms, audience and value")
		}
	})
	if len(value.Platforms) == 0 || slices.Contains(value.Platforms, "") {
		d.problem(node, path+".platform", "is missing; it is the name of an operating system, or all")
	}
	return value
}
