// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// shortID is how many characters of an id tables show. They are enough to name one thing on any farm.
const shortID = 8

func short(id string) string {
	return id[:min(shortID, len(id))]
}

// printJSON writes one line: the kind of message as "type", and what it is about under the same name. What the API
// calls the type of a job stays inside.
func printJSON(w io.Writer, kind string, about any) error {
	return printLine(w, map[string]any{"type": kind, kind: about})
}

func printLine(w io.Writer, message any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(message)
}

// out is the style for the command's results.
func (g *globalOptions) out() style { return newStyle(g.streams.Out, g.getenv) }

// field is one line of what a "show" command prints.
type field struct {
	name  string
	value string
}

// writeFields writes names and values in two columns. Fields without a value are left out.
func writeFields(w io.Writer, s style, fields []field) error {
	width := 0
	for _, f := range fields {
		if f.value != "" {
			width = max(width, utf8.RuneCountInString(f.name))
		}
	}
	var out strings.Builder
	for _, f := range fields {
		if f.value == "" {
			continue
		}
		padding := strings.Repeat(" ", width-utf8.RuneCountInString(f.name)+2)
		value := strings.ReplaceAll(strings.TrimRight(f.value, "\n"), "\n", "\n"+strings.Repeat(" ", width+2))
		fmt.Fprintf(&out, "%s%s%s\n", s.dim(f.name), padding, value)
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// percent shows how far something is: "12/24 50 %"; nothing when there is nothing to do.
func percent(done, total int) string {
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d %3d%%", done, total, 100*done/total)
}
