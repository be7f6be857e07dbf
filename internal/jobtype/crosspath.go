// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"path"
	"strings"
)

// The path functions of scripts. A job is often submitted on one system and rendered on another, so they take both
// kinds of slashes on every system and give forward ones, which Blender and FFmpeg understand everywhere.

func slashed(p string) string { return strings.ReplaceAll(p, `\`, "/") }

func pathBase(p string) string { return path.Base(slashed(p)) }

func pathStem(p string) string {
	base := pathBase(p)
	if stem := strings.TrimSuffix(base, path.Ext(base)); stem != "" {
		return stem
	}
	return base // ".hidden" has a name, not an extension
}

func pathDir(p string) string {
	p = slashed(p)
	dir := clean(p[:strings.LastIndexByte(p, '/')+1])
	if len(dir) == 2 && dir[1] == ':' {
		return dir + "/" // "C:" alone is not the root of the drive
	}
	return dir
}

func pathJoin(parts []string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, slashed(p))
		}
	}
	if len(kept) == 0 {
		return ""
	}
	return clean(strings.Join(kept, "/"))
}

// clean is path.Clean that keeps the two slashes a Windows share starts with.
func clean(p string) string {
	if strings.HasPrefix(p, "//") && len(p) > 2 && p[2] != '/' {
		return "/" + path.Clean(p)
	}
	return path.Clean(p)
}
