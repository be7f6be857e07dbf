// SPDX-License-Identifier: GPL-3.0-or-later

// Package variables owns what {name} in a command stands for: a value per platform and audience, and the way back, by
// which the path that somebody gave becomes a name that every platform understands.
// It must not know where the definitions come from, nor who runs the commands.
package variables

import (
	"maps"
	"runtime"
	"slices"
	"strings"
)

// AnyPlatform is the platform of a value that holds wherever there is no value for the platform itself.
const AnyPlatform = "all"

// Jobs is the variable that every farm has: the folder that holds the files of jobs.
const Jobs = "jobs"

// Audience says who a value is for.
type Audience string

// The audiences. A value for everybody gives way to one for the audience that asks.
const (
	ForAll     Audience = "all"
	ForWorkers Audience = "workers"
	ForUsers   Audience = "users"
)

// Audiences lists every audience that a value may have.
var Audiences = []Audience{ForAll, ForWorkers, ForUsers}

// Definition is a variable with all its values.
type Definition struct {
	TwoWay bool
	Values []Value
}

// Value is what a variable stands for on some platforms.
type Value struct {
	Platforms []string
	Audience  Audience // "" = ForAll
	Value     string
}

// Resolved is what a variable stands for, for one audience on one platform.
type Resolved struct {
	Value  string
	TwoWay bool
}

// Set is all variables of a farm. It never changes and may be used from many goroutines.
type Set struct {
	definitions map[string]Definition
	home        string // the platform of the Manager, whose paths definitions and jobs may hold
}

// New makes a Set of definitions and the implicit variable "jobs", which wins over a definition of that name.
// Without a folder for jobs that variable stays undefined.
func New(definitions map[string]Definition, jobs string) *Set {
	return NewOn(runtime.GOOS, definitions, jobs)
}

// NewOn is New for a Manager on another platform than this one.
func NewOn(home string, definitions map[string]Definition, jobs string) *Set {
	all := maps.Clone(definitions)
	if all == nil {
		all = make(map[string]Definition)
	}
	delete(all, Jobs)
	if jobs != "" {
		all[Jobs] = Definition{Values: []Value{{Platforms: []string{AnyPlatform}, Value: jobs}}}
	}
	return &Set{definitions: all, home: home}
}

// Resolve is every variable that has a value for the audience on the platform. An audience that does not exist has none.
func (s *Set) Resolve(audience Audience, platform string) map[string]Resolved {
	resolved := make(map[string]Resolved, len(s.definitions))
	if audience != ForWorkers && audience != ForUsers {
		return resolved
	}
	for name, d := range s.definitions {
		if value, ok := d.valueFor(audience, platform); ok {
			resolved[name] = Resolved{Value: value, TwoWay: d.TwoWay}
		}
	}
	return resolved
}

// valueFor picks the value that fits best: its platform counts more than its audience, and a later one more than an earlier.
func (d Definition) valueFor(audience Audience, platform string) (string, bool) {
	best, value := 0, ""
	for _, v := range d.Values {
		if fit := v.fit(audience, platform); fit > 0 && fit >= best {
			best, value = fit, v.Value
		}
	}
	if d.TwoWay {
		value = strings.TrimRight(value, separators)
	}
	return value, best > 0
}

func (v Value) fit(audience Audience, platform string) int {
	fit := 0
	switch {
	case slices.Contains(v.Platforms, platform):
		fit = 3
	case slices.Contains(v.Platforms, AnyPlatform):
		fit = 1
	default:
		return 0
	}
	switch v.Audience {
	case audience:
		return fit + 1
	case ForAll, "":
		return fit
	}
	return 0
}
