// SPDX-License-Identifier: GPL-3.0-or-later

package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// adminTokenSize is how many random bytes are in a token.
const adminTokenSize = 32

// AdminToken is what whoever runs the Manager proves it with: they can read its files. The zero one fits nothing.
type AdminToken struct{ text string }

// NewAdminToken makes a random token.
func NewAdminToken() AdminToken {
	secret := make([]byte, adminTokenSize)
	rand.Read(secret)
	return AdminToken{hex.EncodeToString(secret)}
}

// ParseAdminToken is the token of a text that Reveal gave; false if it is none.
func ParseAdminToken(text string) (AdminToken, bool) {
	secret, err := hex.DecodeString(text)
	if err != nil || len(secret) != adminTokenSize {
		return AdminToken{}, false
	}
	return AdminToken{text}, true
}

// Reveal is the text of the token, for the file that only its owner may read.
func (t AdminToken) Reveal() string { return t.text }

// String keeps the token out of logs.
func (t AdminToken) String() string { return "(admin token)" }

// Matches reports whether given is the token, in a time that does not tell how much of it was right.
func (t AdminToken) Matches(given string) bool {
	want, got := sha256.Sum256([]byte(t.text)), sha256.Sum256([]byte(given))
	return t.text != "" && subtle.ConstantTimeCompare(want[:], got[:]) == 1
}
