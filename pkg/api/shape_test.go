// SPDX-License-Identifier: GPL-3.0-or-later

package api_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// The golden file is the wire in one line a schema: names, types, what is optional, enums, ranges and defaults. Other
// people's Workers and scripts depend on each of them, so a line of it changes only on purpose.
func TestTheShapeOfEverySchemaStays(t *testing.T) {
	t.Parallel()
	schemas := load(t).Components.Schemas
	var got strings.Builder
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		fmt.Fprintf(&got, "%s: %s\n", name, shape(schemas[name]))
	}
	golden := filepath.Join("testdata", "schemas.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
}

func shape(ref *openapi3.SchemaRef) string {
	if ref.Ref != "" {
		return strings.TrimPrefix(ref.Ref, "#/components/schemas/")
	}
	s := ref.Value
	switch {
	case len(s.AllOf) > 0:
		var parts []string
		for _, part := range s.AllOf {
			parts = append(parts, shape(part))
		}
		return strings.Join(parts, " & ")
	case len(s.Enum) > 0:
		return "enum(" + strings.Join(strings.Fields(strings.Trim(fmt.Sprint(s.Enum), "[]")), ", ") + ")"
	case s.Type.Is("array"):
		return "[" + shape(s.Items) + "]"
	case s.AdditionalProperties.Schema != nil:
		return "map<" + shape(s.AdditionalProperties.Schema) + ">"
	case len(s.Properties) > 0:
		return fields(s)
	case s.Type == nil:
		return "any"
	}
	return strings.Join(s.Type.Slice(), "|") + limits(s)
}

func fields(s *openapi3.Schema) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		mark := "?"
		if slices.Contains(s.Required, name) {
			mark = ""
		}
		list = append(list, name+mark+": "+shape(s.Properties[name]))
	}
	return "{" + strings.Join(list, ", ") + "}"
}

func limits(s *openapi3.Schema) string {
	var list []string
	if s.Min != nil {
		list = append(list, fmt.Sprint("minimum=", *s.Min))
	}
	if s.Max != nil {
		list = append(list, fmt.Sprint("maximum=", *s.Max))
	}
	if s.Default != nil {
		list = append(list, fmt.Sprintf("default=%v", s.Default))
	}
	text := ""
	if s.Format != "" {
		text = "<" + s.Format + ">"
	}
	if len(list) > 0 {
		text += "(" + strings.Join(list, ", ") + ")"
	}
	return text
}
