// SPDX-License-Identifier: GPL-3.0-or-later

package variables_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/variables"
)

func setup(t *testing.T) *variables.Set {
	t.Helper()
	return variables.New(map[string]variables.Definition{
		"blender": {Values: []variables.Value{
			{Platforms: []string{"linux"}, Value: "/opt/blender"},
			{Platforms: []string{"all"}, Value: "blender"},
			{Platforms: []string{"windows"}, Audience: variables.ForUsers, Value: `C:\users\blender.exe`},
			{Platforms: []string{"windows"}, Audience: variables.ForAll, Value: `C:\blender.exe`},
		}},
		"args":   {Values: []variables.Value{{Platforms: []string{"linux", "darwin"}, Value: "-b -y {share}"}}},
		"share":  {TwoWay: true, Values: []variables.Value{{Platforms: []string{"linux"}, Value: "/mnt/share/"}}},
		"jobs":   {Values: []variables.Value{{Platforms: []string{"all"}, Value: "never seen"}}},
		"secret": {Values: []variables.Value{{Platforms: []string{"all"}, Audience: variables.ForUsers, Value: "for users"}}},
	}, "/farm/jobs")
}

func TestAPlatformsOwnValueWinsOverTheOneForAllPlatforms(t *testing.T) {
	t.Parallel()
	set := setup(t)
	for _, c := range []struct {
		audience variables.Audience
		platform string
		want     map[string]variables.Resolved
	}{
		{variables.ForWorkers, "linux", map[string]variables.Resolved{
			"blender": {Value: "/opt/blender"}, "args": {Value: "-b -y {share}"},
			"share": {Value: "/mnt/share", TwoWay: true}, "jobs": {Value: "/farm/jobs"},
		}},
		{variables.ForWorkers, "windows", map[string]variables.Resolved{
			"blender": {Value: `C:\blender.exe`}, "jobs": {Value: "/farm/jobs"},
		}},
		{variables.ForUsers, "windows", map[string]variables.Resolved{
			"blender": {Value: `C:\users\blender.exe`}, "jobs": {Value: "/farm/jobs"}, "secret": {Value: "for users"},
		}},
		{variables.ForWorkers, "plan9", map[string]variables.Resolved{"blender": {Value: "blender"}, "jobs": {Value: "/farm/jobs"}}},
		{"strangers", "linux", map[string]variables.Resolved{}},
		{variables.ForAll, "linux", map[string]variables.Resolved{}},
	} {
		if diff := cmp.Diff(c.want, set.Resolve(c.audience, c.platform)); diff != "" {
			t.Errorf("%s on %s (-want +got):\n%s", c.audience, c.platform, diff)
		}
	}
}

func TestExpandReplacesStringsAndListsAndLeavesTheRest(t *testing.T) {
	t.Parallel()
	given := []farm.Command{{Name: "exec", TotalStepCount: 3, Parameters: map[string]any{
		"exe":  "{blender}",
		"args": []any{"{args}", "{undefined}", 7.0, "{jobs}/a{jobs}"},
		"more": []string{"{share}/x"},
		"num":  2.5,
	}}, {Name: "echo"}}
	got := setup(t).Expand(given, "linux")
	want := []farm.Command{{Name: "exec", TotalStepCount: 3, Parameters: map[string]any{
		"exe":  "/opt/blender",
		"args": []any{"-b -y /mnt/share", "{undefined}", 7.0, "/farm/jobs/a/farm/jobs"},
		"more": []string{"/mnt/share/x"},
		"num":  2.5,
	}}, {Name: "echo", Parameters: map[string]any{}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if given[0].Parameters["exe"] != "{blender}" {
		t.Error("the stored command was changed")
	}
}

func TestWithoutStorageTheJobsVariableStaysUndefined(t *testing.T) {
	t.Parallel()
	set := variables.New(nil, "")
	got := set.Expand([]farm.Command{{Parameters: map[string]any{"path": "{jobs}/x"}}}, "linux")
	if path := got[0].Parameters["path"]; path != "{jobs}/x" {
		t.Errorf("got %q", path)
	}
}
