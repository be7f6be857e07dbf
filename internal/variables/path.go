// SPDX-License-Identifier: GPL-3.0-or-later

package variables

import "strings"

// separators are what parts the components of a path on any platform.
const separators = `/\`

// ignoresCase is whether paths of the platform are the same in upper and lower case.
func ignoresCase(platform string) bool { return platform == "windows" || platform == "darwin" }

// cutPrefix cuts whole components off the start of path: /mnt/a is a prefix of /mnt/a/b, not of /mnt/abc. Both kinds of
// separator are the same. The rest is empty or begins with its separator.
func cutPrefix(path, prefix string, ignoreCase bool) (rest string, ok bool) {
	for {
		want, wantRest, more := cutComponent(prefix)
		have, haveRest, longer := cutComponent(path)
		if have != want && (!ignoreCase || !strings.EqualFold(have, want)) {
			return "", false
		}
		if !more {
			return path[len(have):], true
		}
		if !longer {
			return "", false
		}
		prefix, path = wantRest, haveRest
	}
}

// cutComponent splits a path behind its first separator; more is whether there was one.
func cutComponent(path string) (component, rest string, more bool) {
	i := strings.IndexAny(path, separators)
	if i < 0 {
		return path, "", false
	}
	return path[:i], path[i+1:], true
}

// native is a path with the separators of the platform. On Windows a drive gets the separator without which the path
// would be relative to whatever folder is the current one of that drive.
func native(path, platform string) string {
	if platform != "windows" {
		return strings.ReplaceAll(path, `\`, "/")
	}
	path = strings.ReplaceAll(path, "/", `\`)
	if len(path) >= 2 && isLetter(path[0]) && path[1] == ':' && (len(path) == 2 || path[2] != '\\') {
		return path[:2] + `\` + path[2:]
	}
	return path
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
