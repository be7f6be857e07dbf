// SPDX-License-Identifier: GPL-3.0-or-later

package shaman

import (
	"mime"
	"strings"
	"unicode"

	"flamenco.farm/internal/farm"
)

// maxOriginalName is the longest name that a client may tell, in bytes.
const maxOriginalName = 4096

// OriginalName decodes what a client calls the file that it uploads: ASCII as it is, anything else after RFC 2047.
// It is for logs only: control characters are made visible. What cannot be decoded is an error of code farm.CodeInvalid.
func OriginalName(header string) (string, error) {
	if len(header) > maxOriginalName {
		return "", farm.Errorf(farm.CodeInvalid, "the original file name is longer than %d bytes", maxOriginalName)
	}
	if strings.ContainsFunc(header, func(r rune) bool { return r > unicode.MaxASCII }) {
		return "", farm.Errorf(farm.CodeInvalid, "the original file name is neither ASCII nor encoded after RFC 2047")
	}
	name, err := new(mime.WordDecoder).DecodeHeader(header)
	if err != nil {
		return "", farm.Errorf(farm.CodeInvalid, "the original file name cannot be decoded: %v", err)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name), nil
}
