// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"fmt"
	"strings"
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
