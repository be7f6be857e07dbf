// SPDX-License-Identifier: GPL-3.0-or-later

// Package jobtype owns job types: the scripts that describe them, the schema of their settings, and the compiling of a
// submission into tasks in a child process that a script cannot break out of or hang.
//
// It must not know storage, HTTP or the API's generated types; what a script returns is untrusted until checked here.
package jobtype

import (
	"crypto/sha1" //nolint:gosec // the wire contract says SHA-1; it guards against stale copies, not attackers
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"flamenco.farm/internal/farm"
)

// Type describes a job type. Its JSON is that of AvailableJobType on the wire.
type Type struct {
	Name        string    `json:"name"`
	Label       string    `json:"label"`
	Description string    `json:"description,omitempty"`
	Settings    []Setting `json:"settings"`
	ETag        string    `json:"etag"`
}

// SettingType is the type of a setting's value.
type SettingType string

// The types of settings.
const (
	TypeString SettingType = "string"
	TypeInt32  SettingType = "int32"
	TypeFloat  SettingType = "float"
	TypeBool   SettingType = "bool"
)

// Setting describes one setting. Its JSON is that of AvailableJobSetting on the wire.
type Setting struct {
	Key         string         `json:"key"`
	Type        SettingType    `json:"type"`
	Subtype     string         `json:"subtype,omitempty"`
	Choices     []string       `json:"choices,omitempty"`
	PropArgs    map[string]any `json:"propargs,omitempty"`
	Description string         `json:"description,omitempty"`
	Label       string         `json:"label,omitempty"`
	Default     any            `json:"default,omitempty"` // nil = none; numbers are int64 or float64
	Eval        string         `json:"eval,omitempty"`
	EvalInfo    *EvalInfo      `json:"evalInfo,omitempty"`
	Visible     string         `json:"visible,omitempty"`
	Required    bool           `json:"required,omitempty"`
	Editable    *bool          `json:"editable,omitempty"` // absent and false differ: see the wire contract
}

// EvalInfo describes the expression in Setting.Eval to people.
type EvalInfo struct {
	ShowLinkButton bool   `json:"showLinkButton"`
	Description    string `json:"description"`
}

// Submission is a job as somebody submits it, before it is compiled.
type Submission struct {
	Name              string
	Type              string
	TypeETag          string // "" = do not check
	Priority          int    // 0 to 100
	Settings          map[string]any
	Metadata          map[string]string
	SubmitterPlatform string
	ShamanCheckoutID  string
	TagID             string
	InitialStatus     farm.JobStatus // "" = queued; otherwise queued or paused
	JobID             string         // "" = a random one
	Created           time.Time      // zero = now
}

// etag hashes everything that a client shows or checks of a type; encoding/json sorts the keys of maps.
func etag(t Type) (string, error) {
	canonical, err := json.Marshal(struct {
		Name        string    `json:"name"`
		Label       string    `json:"label"`
		Description string    `json:"description"`
		Settings    []Setting `json:"settings"`
	}{t.Name, t.Label, t.Description, t.Settings})
	if err != nil {
		return "", fmt.Errorf("hashing job type %s: %w", t.Name, err)
	}
	sum := sha1.Sum(canonical) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:]), nil
}
