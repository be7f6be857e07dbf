// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"strings"
	"testing"
)

func TestBlendersOutputIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		line, saved string
		step        bool
	}{
		{"Saved: '/render/0001.png'", "/render/0001.png", false},
		{`Saved: 'C:\render\0001.png'`, `C:\render\0001.png`, false},
		{"Saved: '/it's here/0001.png'", "/it's here/0001.png", false},
		{"Saved: '//0001.png' Time: 00:01.02", "//0001.png", false},
		{"00:01.345  render           | Saved: '/render/0001.png'", "/render/0001.png", false},
		{"render | Saved: '/a|b/0001.png'", "/a|b/0001.png", false},
		{"Saved: '/a|b/0001.png'", "/a|b/0001.png", false},
		{"Saved: ''", "", false},
		{"Saved: '/render/0001.png", "", false},
		{"Saved session recovery to '/tmp/quit.blend'", "", false},
		{"Not saved: '/render/0001.png'", "", false},
		{"Time: 00:00.81 (Saving: 00:00.10)", "", true},
		{" Time: 00:00.81 (Saving: 00:00.10)", "", true},
		{"00:02.003  render           | Time: 00:01.80 (Saving: 00:00.23)", "", true},
		{"Time: soon", "", false},
		{"Time:", "", false},
		{"Timeout: 5", "", false},
		{"Fra:1 Mem:8.09M (Peak 8.29M) | Time:00:00.02 | Mem:0.00M, Peak:0.00M | Scene, ViewLayer | Synchronizing object", "", false},
		{"Fra:1 | Time: 00:00.02", "", false},
		{"prerender | Time: 00:00.02", "", false},
		{`skipping existing frame "/render/0001.png"`, "", true},
		{`Skipping existing frame "/render/0001.png"`, "", true},
		{`00:00.010  render           | Skipping existing frame "/render/0001.png"`, "", true},
		{"not skipping existing frame", "", false},
		{"Blender quit", "", false},
		{"", "", false},
		{"|", "", false},
	} {
		saved, step := parseBlender(test.line)
		if saved != test.saved || step != test.step {
			t.Errorf("%q: got %q, %v", test.line, saved, step)
		}
	}
}

func FuzzBlendersOutput(f *testing.F) {
	f.Add("Saved: '/render/0001.png'")
	f.Add("render | Saved: ''")
	f.Add(" Time: 00:00.81")
	f.Add("x render|skipping existing frame")
	f.Fuzz(func(t *testing.T, line string) {
		saved, step := parseBlender(line)
		if saved != "" && (step || !strings.Contains(line, "Saved: '"+saved+"'")) {
			t.Errorf("%q: saved %q, step %v", line, saved, step)
		}
		if again, alike := parseBlender("00:00.1  render  | " + line); !strings.Contains(line, "|") && (again != saved || alike != step) {
			t.Errorf("%q: %q, %v; as Blender 5 prints it: %q, %v", line, saved, step, again, alike)
		}
	})
}
