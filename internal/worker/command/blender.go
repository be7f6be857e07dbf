// SPDX-License-Identifier: GPL-3.0-or-later

package command

import (
	"context"
	"slices"
	"strings"
)

// BlenderRender runs Blender and follows what it renders.
type BlenderRender struct {
	Exe        string
	ExeArgs    []string
	ArgsBefore []string
	Blendfile  string // "" = none is passed
	Args       []string
}

func decodeBlenderRender(p *parameters) BlenderRender {
	return BlenderRender{
		Exe:        p.text("exe"),
		ExeArgs:    p.words("exeArgs"),
		ArgsBefore: p.list("argsBefore"),
		Blendfile:  p.anyText("blendfile"),
		Args:       p.list("args"),
	}
}

// Run counts a step for each frame that Blender renders or skips, and hands on the images that it saves.
func (c BlenderRender) Run(ctx context.Context, env Env) error {
	exe, err := FindBlender(c.Exe)
	if err != nil {
		return err
	}
	args := slices.Concat(c.ExeArgs, c.ArgsBefore)
	if c.Blendfile != "" {
		args = append(args, c.Blendfile)
	}
	return runProgram(ctx, env, exe, append(args, c.Args...), func(line string) {
		saved, step := parseBlender(line)
		if saved != "" {
			env.Output(saved)
		}
		if step {
			env.Step(1)
		}
	})
}

// parseBlender reads a line of Blender's output: the image that it says was saved, and whether it says that a frame is
// done. Blender 5 puts its clock and the name of its part of the program before the message.
func parseBlender(line string) (saved string, step bool) {
	message := strings.TrimSpace(line)
	if head, rest, ok := strings.Cut(message, "|"); ok {
		if words := strings.Fields(head); len(words) > 0 && words[len(words)-1] == "render" {
			message = strings.TrimSpace(rest)
		}
	}
	if rest, ok := strings.CutPrefix(message, "Saved: '"); ok {
		// The path may hold the same quote.
		if end := strings.LastIndexByte(rest, '\''); end > 0 {
			return rest[:end], false
		}
		return "", false
	}
	if rest, ok := strings.CutPrefix(message, "Time:"); ok {
		rest = strings.TrimLeft(rest, " \t")
		return "", rest != "" && rest[0] >= '0' && rest[0] <= '9'
	}
	const skipping = "skipping existing frame" // Blender 3 and 4 begin it with a small letter
	return "", len(message) >= len(skipping) && strings.EqualFold(message[:len(skipping)], skipping)
}
