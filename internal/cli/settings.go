// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/pkg/api"
)

// given is a setting as the user wrote it.
type given struct {
	value  any    // text from the command line, anything from a file
	folder string // what a relative path in it is relative to
}

// parseSettings takes apart key=value arguments.
func parseSettings(args []string, folder string) (map[string]given, error) {
	settings := map[string]given{}
	for _, arg := range args {
		key, value, ok := strings.Cut(arg, "=")
		if !ok || key == "" {
			return nil, usagef("%q is no setting: write key=value", arg)
		}
		if _, twice := settings[key]; twice {
			return nil, usagef("setting %q is given twice", key)
		}
		settings[key] = given{value: value, folder: folder}
	}
	return settings, nil
}

// readSettings reads a YAML file that maps keys to values; "-" is the standard input.
func readSettings(path string, stdin io.Reader) (map[string]given, error) {
	text, err := readFileOrStdin(path, stdin)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	var values map[string]any
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&values); err != nil && !errors.Is(err, io.EOF) {
		return nil, usagef("%s: %w", path, err)
	}
	settings := map[string]given{}
	for key, value := range values {
		settings[key] = given{value: value, folder: folder}
	}
	return settings, nil
}

func readFileOrStdin(path string, stdin io.Reader) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// typedSettings makes the settings to submit of those that the user gave: each gets the type that the job type wants,
// paths become absolute, plain defaults are filled in, and what can be computed is.
func typedSettings(jobType api.AvailableJobType, user map[string]given, jobName string) (map[string]any, error) {
	known := map[string]api.AvailableJobSetting{}
	for _, setting := range jobType.Settings {
		known[setting.Key] = setting
	}
	for _, key := range slices.Sorted(maps.Keys(user)) {
		if _, ok := known[key]; !ok {
			return nil, unknownSetting(jobType, key)
		}
	}
	settings := map[string]any{}
	for _, setting := range jobType.Settings {
		value, ok := user[setting.Key]
		switch {
		case ok:
			typed, err := typedSetting(setting, value)
			if err != nil {
				return nil, usagef("setting %q: %w", setting.Key, err)
			}
			settings[setting.Key] = typed
		case setting.Default != nil:
			settings[setting.Key] = setting.Default
		}
	}
	evaluate(jobType.Settings, settings, jobName)
	return settings, missingSettings(jobType, settings)
}

func unknownSetting(jobType api.AvailableJobType, key string) error {
	var keys []string
	for _, setting := range jobType.Settings {
		if text(setting.Visible) != "hidden" {
			keys = append(keys, setting.Key)
		}
	}
	if len(keys) == 0 {
		return usagef("job type %q has no setting %q, and no other", jobType.Name, key)
	}
	return usagef("job type %q has no setting %q; it has %s", jobType.Name, key, strings.Join(keys, ", "))
}

// missingSettings names all required settings that have no value, and what each is for. Hidden ones are only named when
// nothing else is missing: mostly they follow from the others.
func missingSettings(jobType api.AvailableJobType, settings map[string]any) error {
	var missing, hidden string
	for _, setting := range jobType.Settings {
		if _, ok := settings[setting.Key]; ok || setting.Required == nil || !*setting.Required {
			continue
		}
		line := fmt.Sprintf("\n  %s=…  %s", setting.Key, describe(setting))
		if text(setting.Visible) == "hidden" {
			hidden += line
		} else {
			missing += line
		}
	}
	if missing == "" {
		missing = hidden
	}
	if missing == "" {
		return nil
	}
	return usagef("job type %q requires:%s", jobType.Name, missing)
}

// describe says what a setting takes.
func describe(setting api.AvailableJobSetting) string {
	kind := string(setting.Type)
	if len(setting.Choices) > 0 {
		kind = "one of " + strings.Join(setting.Choices, ", ")
	}
	if about := text(setting.Description); about != "" {
		return about + " (" + kind + ")"
	}
	return kind
}

// typedSetting converts one value to the type of its setting.
func typedSetting(setting api.AvailableJobSetting, value given) (any, error) {
	switch setting.Type {
	case "string":
		return stringSetting(setting, value)
	case "int32":
		return intSetting(value.value)
	case "float":
		return floatSetting(value.value)
	case "bool":
		return boolSetting(value.value)
	}
	return value.value, nil // a type of a later Manager: it knows better
}

func stringSetting(setting api.AvailableJobSetting, value given) (any, error) {
	var s string
	switch v := value.value.(type) {
	case string:
		s = v
	case int, int64, float64, bool:
		s = fmt.Sprint(v) // "frames: 12" in a file means the text
	default:
		return nil, fmt.Errorf("must be text, not %v", v)
	}
	if len(setting.Choices) > 0 && !slices.Contains(setting.Choices, s) {
		return nil, fmt.Errorf("is %q, must be one of %s", s, strings.Join(setting.Choices, ", "))
	}
	if isPath(setting) {
		s = absolute(s, value.folder)
	}
	return s, nil
}

// isPath reports whether a setting is a path of files. The blend file is one by custom: job types that the Blender add-on
// submits do not declare it, because there it is never typed.
func isPath(setting api.AvailableJobSetting) bool {
	switch text(setting.Subtype) {
	case "file_path", "dir_path", "hashed_file_path":
		return true
	}
	return setting.Key == "blendfile"
}

// absolute makes a path absolute, because a Worker runs elsewhere. It leaves alone what begins with a variable such as
// {jobs}, and Blender's "//" for the folder of the blend file.
func absolute(path, folder string) string {
	if path == "" || strings.HasPrefix(path, "{") || strings.HasPrefix(path, "//") || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(folder, path)
}

func intSetting(value any) (any, error) {
	var number int64
	switch v := value.(type) {
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("is %q, must be a whole number", v)
		}
		number = n
	case int:
		number = int64(v)
	case int64:
		number = v
	default:
		return nil, fmt.Errorf("is %v, must be a whole number", v)
	}
	if number < math.MinInt32 || number > math.MaxInt32 {
		return nil, fmt.Errorf("is %d, which is out of range", number)
	}
	return int(number), nil
}

func floatSetting(value any) (any, error) {
	switch v := value.(type) {
	case string:
		n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
			return nil, fmt.Errorf("is %q, must be a number", v)
		}
		return n, nil
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	}
	return nil, fmt.Errorf("is %v, must be a number", value)
}

func boolSetting(value any) (any, error) {
	switch v := value.(type) {
	case bool:
		return v, nil
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "yes", "on", "1":
			return true, nil
		case "false", "no", "off", "0":
			return false, nil
		}
	}
	return nil, fmt.Errorf("is \"%v\", must be true or false", value)
}

// text is an optional string, "" when it is left out.
func text[T ~string](s *T) string {
	if s == nil {
		return ""
	}
	return string(*s)
}
