// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// EnvName is the name of the environment variable that overrides a setting: dots become two underscores.
func EnvName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

// decodeEnv lets the environment override single settings. An unknown name is only logged: container platforms add
// variables of their own that begin with the name of the service.
func (d *decoder) decodeEnv(env []string) {
	byName := make(map[string]setting, len(settings))
	for _, s := range settings {
		byName[EnvName(s.key)] = s
	}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		if name == EnvName("variables") {
			d.decodeVariablesEnv(name, value)
			continue
		}
		s, ok := byName[name]
		if !ok {
			d.log.Warn("an environment variable looks like a setting but is none", "name", name)
			continue
		}
		if err := s.parse(d.cfg, value); err != nil {
			d.problems = append(d.problems, fmt.Errorf("environment variable %s: %s: %w", name, s.key, err))
		}
	}
}

// decodeVariablesEnv replaces all variables by those of an environment variable, which are written as in the file.
func (d *decoder) decodeVariablesEnv(name, value string) {
	file := d.file
	defer func() { d.file = file }()
	d.file = "environment variable " + name
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(value), &document); err != nil || len(document.Content) == 0 {
		d.problems = append(d.problems, fmt.Errorf("%s: must hold the section variables as the file would, such as {blender: {values: [{platform: all, value: blender}]}}", d.file))
		return
	}
	d.decodeVariables(document.Content[0])
}
