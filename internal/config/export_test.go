// SPDX-License-Identifier: GPL-3.0-or-later

package config

import "log/slog"

// Row is what the reference says of a setting.
type Row struct {
	Key, Default, Doc, Form string
	Live, Secret            bool
	Choices                 []string
}

// Rows is every setting, in the order of the sample.
func Rows() []Row {
	rows := make([]Row, 0, len(settings))
	for _, s := range settings {
		rows = append(rows, Row{
			Key: s.key, Default: s.format(Default()), Doc: s.doc, Form: string(s.form),
			Live: s.live, Secret: s.secret || s.secretIf != nil, Choices: s.choices,
		})
	}
	return rows
}

// Parse reads text as the file, without an environment; its paths stay as they are written.
func Parse(text []byte) (Config, error) {
	r, err := Sources{Path: FileName}.interpret(text, slog.New(slog.DiscardHandler))
	return r.file, err
}
