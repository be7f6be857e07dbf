// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/variables"
)

// Replace writes a document over the file; what it does not say gets its default. It returns the settings that hold only
// after a restart of the Manager. Errors of farm.CodeInvalid name everything that is wrong.
func (l *Live) Replace(doc map[string]any) (waiting []string, err error) {
	wanted, err := nodeOf(doc)
	if err != nil {
		return nil, farm.Errorf(farm.CodeInvalid, "%v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, err := l.edit(func(was reading) (Config, error) {
		unmask(settings, wanted, was.file)
		next := Default()
		d := &decoder{cfg: &next, log: slog.New(slog.DiscardHandler)}
		d.decodeSection(wanted, "")
		full := next
		quiet := &decoder{cfg: &full, log: d.log}
		quiet.decodeEnv(l.src.Env)
		if d.problems = append(d.problems, full.checkFiles()...); len(d.problems) > 0 {
			return Config{}, farm.Errorf(farm.CodeInvalid, "%s", sentence(d.problems))
		}
		return next, nil
	})
	if err != nil {
		return nil, err
	}
	return l.adopt(now), nil
}

// SetUp writes what the setup assistant asks for: the shared storage, and where Blender is on each platform. It holds
// only after a restart of the Manager.
func (l *Live) SetUp(sharedStorage string, blender map[string]string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err := l.edit(func(was reading) (Config, error) {
		next := was.file
		next.SharedStorage = sharedStorage
		next.Variables = maps.Clone(next.Variables)
		if next.Variables == nil {
			next.Variables = Default().Variables
		}
		var d variables.Definition
		for _, platform := range slices.Sorted(maps.Keys(blender)) {
			d.Values = append(d.Values, variables.Value{Platforms: []string{platform}, Audience: variables.ForAll, Value: blender[platform]})
		}
		next.Variables["blender"] = d
		return next, nil
	})
	return err
}

// edit writes what change makes of the file.
func (l *Live) edit(change func(was reading) (next Config, err error)) (reading, error) {
	quiet := slog.New(slog.DiscardHandler)
	if l.src.Path == "" {
		return reading{}, farm.Errorf(farm.CodeConflict, "this Manager runs without a configuration file")
	}
	was, err := l.src.read(quiet)
	if err != nil {
		return reading{}, farm.Errorf(farm.CodeConflict, "the configuration file cannot be used as it is and must be put right first: %v", err)
	}
	next, err := change(was)
	if err != nil {
		return reading{}, err
	}
	text, err := edited(was, next)
	if err != nil {
		return reading{}, err
	}
	now, err := l.src.interpret(text, quiet)
	if err == nil && !reflect.DeepEqual(now.file, next) {
		err = errors.New("a setting would get another value than was asked for")
	}
	if err != nil {
		return reading{}, farm.Errorf(farm.CodeConflict, "the configuration file is written in a way that only a text editor can change: %v", err)
	}
	if now.stamp, err = replaceFile(l.src.Path, text); err != nil {
		return reading{}, farm.Errorf(farm.CodeStorage, "cannot write the configuration: %v", err)
	}
	return now, nil
}

// edited is the text of a file in which only what differs is changed: comments stay.
func edited(was reading, next Config) ([]byte, error) {
	document, start := was.document, ""
	if document == nil {
		document, start = &yaml.Node{Kind: yaml.MappingNode}, header()
		add(document, "_meta", "", version())
		if onlyComments(was.text) {
			start = string(was.text) + "\n"
		}
	}
	root := document
	if document.Kind == yaml.DocumentNode {
		root = document.Content[0]
	}
	for _, s := range settings {
		if text := s.format(next); text != s.format(was.file) {
			section, name := placeOf(root, s.key)
			put(section, name, s.doc, s.node(next))
		}
	}
	if !reflect.DeepEqual(next.Variables, was.file.Variables) {
		put(root, variablesKey, "", variablesNode(next.Variables))
	}
	return encode(document, start)
}

// onlyComments is whether text says something to people, and nothing to the Manager.
func onlyComments(text []byte) bool {
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return false
		}
	}
	return len(bytes.TrimSpace(text)) > 0
}

// put sets the value of a key; comments of the one before stay.
func put(section *yaml.Node, name, doc string, value *yaml.Node) {
	had := valueOf(section, name)
	if had == nil {
		add(section, name, doc, value)
		return
	}
	value.HeadComment, value.LineComment, value.FootComment = had.HeadComment, had.LineComment, had.FootComment
	*had = *value
}
