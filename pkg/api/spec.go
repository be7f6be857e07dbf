// SPDX-License-Identifier: GPL-3.0-or-later

package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed flamenco-openapi.yaml
var document []byte

var documentJSON = sync.OnceValues(func() ([]byte, error) { return toJSON(document) })

// Document is the OpenAPI document as YAML. The caller owns the copy.
func Document() []byte { return slices.Clone(document) }

// DocumentJSON is the OpenAPI document as JSON, in the order of the YAML. It is converted once and shared: callers must
// not change it. An error means that the document in the binary is broken, which a test rules out.
func DocumentJSON() ([]byte, error) { return documentJSON() }

func toJSON(source []byte) ([]byte, error) {
	var node yaml.Node
	if err := yaml.Unmarshal(source, &node); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	var out bytes.Buffer
	if err := writeJSON(&out, &node); err != nil {
		return nil, fmt.Errorf("converting the OpenAPI document: %w", err)
	}
	return out.Bytes(), nil
}

// writeJSON goes through nodes instead of maps because maps would lose the order that the document is meant to be read in.
func writeJSON(out *bytes.Buffer, node *yaml.Node) error {
	switch node.Kind {
	case yaml.DocumentNode:
		return writeJSON(out, node.Content[0])
	case yaml.AliasNode:
		return writeJSON(out, node.Alias)
	case yaml.SequenceNode:
		return writeAll(out, node.Content, "[", ",", ",", "]")
	case yaml.MappingNode:
		return writeAll(out, node.Content, "{", ":", ",", "}")
	default:
		return writeScalar(out, node)
	}
}

// writeAll writes nodes one after the other, with odd before those of odd index and even before the others. In a mapping
// these are the values and the keys.
func writeAll(out *bytes.Buffer, nodes []*yaml.Node, begin, odd, even, end string) error {
	out.WriteString(begin)
	for i, node := range nodes {
		switch {
		case i%2 == 1:
			out.WriteString(odd)
		case i > 0:
			out.WriteString(even)
		}
		if err := writeJSON(out, node); err != nil {
			return err
		}
	}
	out.WriteString(end)
	return nil
}

func writeScalar(out *bytes.Buffer, node *yaml.Node) error {
	var value any
	if err := node.Decode(&value); err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("line %d: %w", node.Line, err)
	}
	out.Write(text)
	return nil
}
