// SPDX-License-Identifier: GPL-3.0-or-later

package variables

import (
	"maps"
	"slices"
	"strings"

	"flamenco.farm/internal/farm"
)

// Expand replaces {name} in the string and string list parameters of commands for a Worker on the platform, and rewrites
// paths of the Manager that begin with a two-way variable. A name without a value stays as it is. The commands given are
// not changed.
func (s *Set) Expand(commands []farm.Command, platform string) []farm.Command {
	out := s.outbound(ForWorkers, platform)
	expanded := make([]farm.Command, len(commands))
	for i, c := range commands {
		expanded[i] = c
		expanded[i].Parameters = make(map[string]any, len(c.Parameters))
		for key, value := range c.Parameters {
			expanded[i].Parameters[key] = eachString(value, out.expand)
		}
	}
	return expanded
}

// Path is a path of the Manager as the audience on the platform sees it; it stays as it is when no two-way variable
// covers it.
func (s *Set) Path(path string, audience Audience, platform string) string {
	out := s.outbound(audience, platform)
	if moved, ok := out.move(path); ok {
		return native(moved, platform)
	}
	return path
}

// outbound turns what is stored into what an audience on a platform can use.
type outbound struct {
	platform       string
	oneWay, twoWay *strings.Replacer
	names          []string // of the two-way variables, in braces
	moves          []move
	ignoreCase     bool // of the Manager's paths
}

// move says that what is below one folder for the Manager is below the other for whom it is sent to.
type move struct{ from, to string }

func (s *Set) outbound(audience Audience, platform string) outbound {
	values := s.Resolve(audience, platform)
	var oneWay, twoWay, names []string
	// NewReplacer goes by the order of its arguments, which therefore must not change from call to call.
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if v := values[name]; v.TwoWay {
			twoWay = append(twoWay, "{"+name+"}", v.Value)
			names = append(names, "{"+name+"}")
		} else {
			oneWay = append(oneWay, "{"+name+"}", v.Value)
		}
	}
	return outbound{
		platform: platform, oneWay: strings.NewReplacer(oneWay...), twoWay: strings.NewReplacer(twoWay...), names: names,
		moves: s.moves(audience, values), ignoreCase: ignoresCase(s.home),
	}
}

// moves leads from the two-way values of the Manager's platform to values, the longest first. A variable that is there
// only for the other audience is the Manager's as well: it sees the folder either way.
func (s *Set) moves(audience Audience, values map[string]Resolved) []move {
	home := make(map[string]Resolved)
	for _, of := range []Audience{ForUsers, ForWorkers, audience} {
		maps.Copy(home, s.Resolve(of, s.home))
	}
	var moves []move
	for _, v := range twoWays(home) {
		if to, ok := values[v.name]; ok && to.TwoWay {
			moves = append(moves, move{v.value, to.Value})
		}
	}
	return moves
}

// expand works in this order because the value of a one-way variable may name a two-way one, or be a path of the Manager,
// as that of {jobs} is. Each step looks at a text once: a value never is expanded again by its own step. What has begun
// with a two-way variable is in place already, and only looks like a path of the Manager by chance.
func (o outbound) expand(text string) string {
	named := o.oneWay.Replace(text)
	expanded := o.twoWay.Replace(named)
	touched := expanded != named
	if !slices.ContainsFunc(o.names, func(name string) bool { return strings.HasPrefix(named, name) }) {
		if moved, ok := o.move(expanded); ok {
			expanded, touched = moved, true
		}
	}
	if !touched {
		return expanded
	}
	return native(expanded, o.platform)
}

// move takes a path of the Manager to where it is for whom it is sent to.
func (o outbound) move(path string) (string, bool) {
	for _, m := range o.moves {
		if rest, ok := cutPrefix(path, m.from, o.ignoreCase); ok {
			return m.to + rest, true
		}
	}
	return "", false
}
