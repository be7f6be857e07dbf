// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"path/filepath"
	"runtime"
	"strings"
	"unicode"

	"flamenco.farm/internal/farm"
)

// The longest that a path and a part of it may be, in bytes. The second is what file systems allow, less the characters
// that make the name of a checkout unique.
const (
	maxPath = 4096 - 1
	maxPart = 255 - 5
)

// makingPrefix begins the name of a checkout that is being made.
const makingPrefix = ".making-"

// CheckCheckoutName checks whether name could be the path of a checkout, whether or not there is one.
// What is wrong is an error of code farm.CodeInvalid.
func CheckCheckoutName(name string) error {
	if err := checkPath(name); err != nil {
		return farm.Errorf(farm.CodeInvalid, "the checkout path %.200q %s", name, err)
	}
	if i := strings.IndexAny(name, "?*:;{}"); i >= 0 {
		return farm.Errorf(farm.CodeInvalid, "the checkout path %.200q holds the character %q", name, name[i])
	}
	if strings.HasPrefix(name, makingPrefix) {
		return farm.Errorf(farm.CodeInvalid, "the checkout path %.200q begins with %q, which Shaman needs for itself", name, makingPrefix)
	}
	return nil
}

// checkFilePath checks the path of a file in a checkout.
func checkFilePath(name string) error {
	if err := checkPath(name); err != nil {
		return farm.Errorf(farm.CodeInvalid, "the path %.200q of a file %s", name, err)
	}
	return nil
}

// pathError says in words what is wrong with a path.
type pathError string

func (e pathError) Error() string { return string(e) }

// checkPath accepts what names something below a folder, on every system alike.
func checkPath(name string) error {
	switch {
	case name == "":
		return pathError("is empty")
	case len(name) > maxPath:
		return pathError("is too long")
	case name[0] == '/' || hasDrive(name):
		return pathError("is absolute")
	case strings.ContainsRune(name, '\\'):
		return pathError("holds a backslash; parts are separated by slashes")
	case strings.ContainsFunc(name, unicode.IsControl):
		return pathError("holds a control character")
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "":
			return pathError("has an empty part")
		case part == "." || part == "..":
			return pathError("has a part " + part)
		case len(part) > maxPart:
			return pathError("has a part that is too long")
		}
	}
	if runtime.GOOS == "windows" && (strings.ContainsAny(name, `<>:"|?*`) || !filepath.IsLocal(filepath.FromSlash(name))) {
		return pathError("is not possible on the system of the Manager, Windows")
	}
	return nil
}

func hasDrive(name string) bool {
	return len(name) >= 2 && name[1] == ':' && unicode.IsLetter(rune(name[0]))
}

// checkTree refuses files of which one is in the way of another.
func checkTree(files []File) error {
	taken := make(map[string]bool, len(files)) // whether it is a file
	for _, f := range files {
		if _, twice := taken[f.Path]; twice {
			return farm.Errorf(farm.CodeInvalid, "the path %.200q is given twice", f.Path)
		}
		taken[f.Path] = true
	}
	for _, f := range files {
		for folder := range parents(f.Path) {
			file, known := taken[folder]
			if file {
				return farm.Errorf(farm.CodeInvalid, "the path %.200q is that of a file, and of the folder of %.200q", folder, f.Path)
			}
			if known {
				break // and so are those above it
			}
			taken[folder] = false
		}
	}
	return nil
}

// parents walks the folders above name, nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if !yield(name[:i]) {
				return
			}
		}
	}
}
