// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"path"
	"path/filepath"
	"strings"

	"flamenco.farm/pkg/api"
)

// evaluate fills in the settings that a job type computes in Blender, as far as no Blender is needed to: the expressions
// are Python, and the few that depend on other settings only are known here by what they mention.
func evaluate(declared []api.AvailableJobSetting, settings map[string]any, jobName string) {
	for _, setting := range declared {
		if _, ok := settings[setting.Key]; ok {
			continue
		}
		expression := text(setting.Eval)
		switch {
		case expression == "":
		case mentions(expression, "settings.render_output_root", "last_n_dir_parts", "jobname", "{timestamp}"):
			if path, ok := outputPath(settings, jobName); ok {
				settings[setting.Key] = path
			}
		case mentions(expression, "render.file_extension"):
			if extension, ok := fileExtensions[stringOf(settings, "format")]; ok {
				settings[setting.Key] = extension
			}
		}
	}
}

func mentions(expression string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(expression, part) {
			return false
		}
	}
	return true
}

func stringOf(settings map[string]any, key string) string {
	value, _ := settings[key].(string)
	return value
}

// outputPath is the pattern for rendered frames: the output folder, so many folders around the blend file, the name of the
// job, the time of submission (the Manager puts it in), and one # for each digit of the frame number.
func outputPath(settings map[string]any, jobName string) (string, bool) {
	root, blendFile := stringOf(settings, "render_output_root"), stringOf(settings, "blendfile")
	if root == "" {
		return "", false
	}
	if beside, ok := strings.CutPrefix(root, "//"); ok {
		root = filepath.Join(filepath.Dir(blendFile), beside)
	}
	var count int
	switch n := settings["add_path_components"].(type) {
	case int:
		count = n
	case float64: // as JSON decodes a default
		count = int(n)
	}
	jobName = strings.NewReplacer("/", "-", `\`, "-").Replace(jobName)
	return path.Join(filepath.ToSlash(root), lastDirs(blendFile, count), jobName, "{timestamp}", "######"), true
}

// lastDirs is the last count folders of the path to a file.
func lastDirs(file string, count int) string {
	folders := strings.FieldsFunc(path.Dir(filepath.ToSlash(file)), func(r rune) bool { return r == '/' })
	return path.Join(folders[max(0, len(folders)-max(0, count)):]...)
}

// fileExtensions is what Blender puts behind the name of a picture, by the name of its format.
var fileExtensions = map[string]string{
	"BMP": ".bmp", "PNG": ".png", "JPEG": ".jpg", "JPEG2000": ".jp2", "TARGA": ".tga", "TARGA_RAW": ".tga",
	"OPEN_EXR": ".exr", "OPEN_EXR_MULTILAYER": ".exr", "HDR": ".hdr", "TIFF": ".tif", "WEBP": ".webp", "CINEON": ".cin",
	"DPX": ".dpx", "IRIS": ".rgb",
}
