// SPDX-License-Identifier: GPL-3.0-or-later

package variables_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/variables"
)

var platforms = []string{"linux", "darwin", "windows"}

// on is a value for one platform.
func on(platform, value string) variables.Value {
	return variables.Value{Platforms: []string{platform}, Value: value}
}

func twoWay(values ...variables.Value) variables.Definition {
	return variables.Definition{TwoWay: true, Values: values}
}

// studio is a farm of three platforms that see the same two folders in their own places, one inside the other.
var studio = map[string]variables.Definition{
	"farm":    twoWay(on("linux", "/mnt/farm/"), on("darwin", "/Volumes/Farm"), on("windows", `F:\`)),
	"cache":   twoWay(on("linux", "/mnt/farm/cache"), on("darwin", "/Volumes/Farm/cache"), on("windows", `\\nas\cache`)),
	"args":    {Values: []variables.Value{on("all", "-b {farm}/start.py {args}")}},
	"unknown": twoWay(on("plan9", "/n/farm")),
}

// sent is text as a Worker on the platform gets it.
func sent(set *variables.Set, text, platform string) string {
	return set.Expand([]farm.Command{{Parameters: map[string]any{"x": text}}}, platform)[0].Parameters["x"].(string)
}

// stored is text as it is kept when somebody on the platform submits it.
func stored(set *variables.Set, text, platform string) string {
	return set.Inbound(map[string]any{"x": text}, platform)["x"].(string)
}

func TestAPathGoesFromAnyPlatformToAnyOther(t *testing.T) {
	t.Parallel()
	paths := map[string]map[string]string{
		"a file":           {"linux": "/mnt/farm/shot/a.blend", "darwin": "/Volumes/Farm/shot/a.blend", "windows": `F:\shot\a.blend`},
		"the inner folder": {"linux": "/mnt/farm/cache/x", "darwin": "/Volumes/Farm/cache/x", "windows": `\\nas\cache\x`},
	}
	for _, home := range platforms {
		set := variables.NewOn(home, studio, "")
		for _, from := range platforms {
			for _, to := range platforms {
				for name, path := range paths {
					if got := sent(set, stored(set, path[from], from), to); got != path[to] {
						t.Errorf("%s, from %s to %s by a Manager on %s: got %q, want %q", name, from, to, home, got, path[to])
					}
				}
			}
		}
	}
}

func TestSubmittedPathsGetTheNameOfTheNearestFolder(t *testing.T) {
	t.Parallel()
	set := variables.NewOn("linux", studio, "/mnt/farm/jobs")
	for _, c := range []struct{ platform, given, want string }{
		{"linux", "/mnt/farm/a", "{farm}/a"},
		{"linux", "/mnt/farm", "{farm}"},
		{"linux", "/mnt/farm/", "{farm}/"},
		{"linux", "/mnt/farm/cache/a", "{cache}/a"},
		{"linux", "/mnt/farm/cached/a", "{farm}/cached/a"},
		{"linux", "/mnt/farmer/a", "/mnt/farmer/a"},
		{"linux", "/MNT/farm/a", "/MNT/farm/a"},
		{"linux", `\mnt\farm\a`, `{farm}\a`},
		{"linux", "see /mnt/farm/a", "see /mnt/farm/a"},
		{"linux", "", ""},
		{"darwin", "/volumes/FARM/a", "{farm}/a"},
		{"windows", `f:\a\b`, `{farm}\a\b`},
		{"windows", "F:/a/b", "{farm}/a/b"},
		{"windows", "F:a", "F:a"},
		{"windows", `\\NAS\Cache\a`, `{cache}\a`},
		{"windows", "//nas/cache/a", "{cache}/a"},
		{"windows", `\\nas\caches\a`, `\\nas\caches\a`},
		{"plan9", "/mnt/farm/a", "/mnt/farm/a"},
	} {
		if got := stored(set, c.given, c.platform); got != c.want {
			t.Errorf("%s on %s: got %q, want %q", c.given, c.platform, got, c.want)
		}
	}
}

func TestListsAreSearchedAndWhatIsNoTextStays(t *testing.T) {
	t.Parallel()
	set := variables.NewOn("linux", studio, "")
	given := map[string]any{"n": 3, "list": []any{"/mnt/farm/a", 2, "b"}, "texts": []string{"/mnt/farm"}, "map": map[string]any{"x": "/mnt/farm"}}
	want := map[string]any{"n": 3, "list": []any{"{farm}/a", 2, "b"}, "texts": []string{"{farm}"}, "map": map[string]any{"x": "/mnt/farm"}}
	if diff := cmp.Diff(want, set.Inbound(given, "linux")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if given["list"].([]any)[0] != "/mnt/farm/a" {
		t.Error("the given list was changed")
	}
	if got := set.InboundText(map[string]string{"x": "/mnt/farm/y"}, "linux"); got["x"] != "{farm}/y" {
		t.Errorf("metadata: %v", got)
	}
	if set.Inbound(nil, "linux") != nil || set.InboundText(nil, "linux") != nil {
		t.Error("something was made of nothing")
	}
}

func TestAWorkerGetsPathsInTheFormOfItsPlatform(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ home, platform, given, want string }{
		{"linux", "windows", "{farm}/a/b", `F:\a\b`},
		{"linux", "windows", "{farm}a", `F:\a`},
		{"linux", "windows", "{farm}", `F:\`},
		{"linux", "windows", "{cache}/a", `\\nas\cache\a`},
		{"linux", "linux", `{farm}\a\b`, "/mnt/farm/a/b"},
		{"linux", "windows", "{jobs}/checkout/x.blend", `F:\jobs\checkout\x.blend`},
		{"linux", "linux", `{jobs}\x`, "/mnt/farm/jobs/x"},
		{"linux", "darwin", "/mnt/farm/cache/x", "/Volumes/Farm/cache/x"},
		{"linux", "darwin", "/mnt/farmer/x", "/mnt/farmer/x"},
		{"linux", "windows", "/MNT/farm/x", "/MNT/farm/x"},
		{"windows", "linux", "f:/x", "/mnt/farm/x"},
		{"windows", "linux", `\\NAS\cache\x`, "/mnt/farm/cache/x"},
		{"linux", "linux", "{args}", "-b /mnt/farm/start.py {args}"},
		{"linux", "windows", "a/b", "a/b"},
		{"linux", "windows", "{unknown}/b", "{unknown}/b"},
		{"linux", "windows", "{nothing}/{farm}", `{nothing}\F:`},
		{"linux", "plan9", "{farm}/b", "{farm}/b"},
		{"linux", "plan9", "/mnt/farm/b", "/mnt/farm/b"},
	} {
		jobs := map[string]string{"linux": "/mnt/farm/jobs", "windows": "F:/jobs"}[c.home]
		if got := sent(variables.NewOn(c.home, studio, jobs), c.given, c.platform); got != c.want {
			t.Errorf("%s for %s from a Manager on %s: got %q, want %q", c.given, c.platform, c.home, got, c.want)
		}
	}
}

func TestWhatATwoWayVariableBeganIsNotMovedAgain(t *testing.T) {
	t.Parallel()
	set := variables.NewOn("linux", map[string]variables.Definition{
		"a": twoWay(on("linux", "/one"), on("darwin", "/two")),
		"b": twoWay(on("linux", "/two"), on("darwin", "/three")),
	}, "")
	if got := sent(set, "{a}/x", "darwin"); got != "/two/x" {
		t.Errorf("got %q", got)
	}
	if got := sent(set, "/one/x", "darwin"); got != "/two/x" {
		t.Errorf("got %q", got)
	}
}

func TestAPathOfTheManagerIsTranslatedForItsAudience(t *testing.T) {
	t.Parallel()
	set := variables.NewOn("linux", map[string]variables.Definition{
		"farm": twoWay(on("linux", "/mnt/farm"),
			variables.Value{Platforms: []string{"windows"}, Audience: variables.ForUsers, Value: `\\nas\farm`},
			variables.Value{Platforms: []string{"windows"}, Audience: variables.ForWorkers, Value: `F:`}),
		"home": twoWay(variables.Value{Platforms: []string{"linux"}, Audience: variables.ForWorkers, Value: "/home"},
			variables.Value{Platforms: []string{"windows"}, Audience: variables.ForUsers, Value: `H:\`}),
	}, "")
	for _, c := range []struct {
		path     string
		audience variables.Audience
		platform string
		want     string
	}{
		{"/mnt/farm/jobs", variables.ForUsers, "windows", `\\nas\farm\jobs`},
		{"/mnt/farm/jobs", variables.ForWorkers, "windows", `F:\jobs`},
		{"/mnt/farm/jobs", variables.ForUsers, "linux", "/mnt/farm/jobs"},
		{"/mnt/farm/jobs", variables.ForUsers, "darwin", "/mnt/farm/jobs"},
		{"/home/x", variables.ForUsers, "windows", `H:\x`},
		{"/home/x", variables.ForWorkers, "windows", "/home/x"},
		{"/srv", variables.ForUsers, "windows", "/srv"},
	} {
		if got := set.Path(c.path, c.audience, c.platform); got != c.want {
			t.Errorf("%s for %s on %s: got %q, want %q", c.path, c.audience, c.platform, got, c.want)
		}
	}
}

func TestEqualValuesGoByTheirNames(t *testing.T) {
	t.Parallel()
	all := make(map[string]variables.Definition)
	for _, name := range []string{"d", "b", "c", "a"} {
		all[name] = twoWay(on("linux", "/same"))
	}
	for range 20 {
		if got := stored(variables.NewOn("linux", all, ""), "/same/x", "linux"); got != "{a}/x" {
			t.Fatalf("got %q", got)
		}
	}
}

// TestAPathComesBackAsItWas draws farms and paths: what a platform submits is what its Workers get, and what others get
// ends the same way.
func TestAPathComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		component := rapid.StringMatching(`[a-zäß ][a-z0-9.ß ]{0,3}`)
		folder := func(platform, label string) string {
			parts := rapid.SliceOfN(component, 1, 3).Draw(t, label+" on "+platform)
			if platform == "windows" {
				start := rapid.SampledFrom([]string{`C:\`, `d:\`, `\\nas\`}).Draw(t, label+" start")
				return start + strings.Join(parts, `\`)
			}
			return "/" + strings.Join(parts, "/")
		}
		definitions := make(map[string]variables.Definition)
		for i := range rapid.IntRange(1, 4).Draw(t, "variables") {
			name := fmt.Sprintf("v%d", i)
			var values []variables.Value
			for _, platform := range platforms {
				values = append(values, on(platform, folder(platform, name)))
			}
			definitions[name] = twoWay(values...)
		}
		home := rapid.SampledFrom(platforms).Draw(t, "home")
		from := rapid.SampledFrom(platforms).Draw(t, "from")
		to := rapid.SampledFrom(platforms).Draw(t, "to")
		set := variables.NewOn(home, definitions, "")

		name := fmt.Sprintf("v%d", rapid.IntRange(0, len(definitions)-1).Draw(t, "variable"))
		separator := map[bool]string{true: `\`, false: "/"}[from == "windows"]
		path := set.Resolve(variables.ForWorkers, from)[name].Value
		for _, part := range rapid.SliceOfN(component, 0, 3).Draw(t, "rest") {
			path += separator + part
		}
		kept := stored(set, path, from)
		if !strings.HasPrefix(kept, "{v") {
			t.Fatalf("%q was stored as %q", path, kept)
		}
		if got := sent(set, kept, from); got != path {
			t.Fatalf("%q came back as %q", path, got)
		}
		other := sent(set, kept, to)
		used, rest, _ := strings.Cut(kept[1:], "}")
		slashed := strings.NewReplacer(`\`, "/")
		if want := set.Resolve(variables.ForWorkers, to)[used].Value + rest; slashed.Replace(other) != slashed.Replace(want) {
			t.Fatalf("%q on %s is %q on %s, want %q", path, from, other, to, want)
		}
		if wrong := map[bool]string{true: "/", false: `\`}[to == "windows"]; strings.Contains(other, wrong) {
			t.Fatalf("%q has separators of another platform", other)
		}
	})
}

func FuzzInbound(f *testing.F) {
	for _, platform := range append(slices.Clone(platforms), "plan9") {
		for _, text := range []string{"/mnt/farm/a", `F:\a`, `\\nas\cache\x`, "", "/", `\`, "{farm}/x", "/mnt/farm\x00", "\xff/mnt", "K:/İ/ſ"} {
			f.Add(text, "/mnt/farm", platform)
		}
	}
	f.Add("Key", "\u212aey", "windows") // equal in another case, and of another length
	f.Fuzz(func(t *testing.T, text, value, platform string) {
		set := variables.NewOn("linux", map[string]variables.Definition{"v": twoWay(on(platform, value))}, "")
		got := stored(set, text, platform)
		rest, named := strings.CutPrefix(got, "{v}")
		if got == text {
			return
		}
		if !named || !strings.HasSuffix(text, rest) || (rest != "" && !strings.ContainsAny(rest[:1], `/\`)) {
			t.Errorf("%q with %q on %s became %q", text, value, platform, got)
		}
	})
}

func FuzzOutbound(f *testing.F) {
	for _, platform := range append(slices.Clone(platforms), "plan9") {
		for _, text := range []string{"{v}/a", "{jobs}/a", "{v", "v}", "{{v}}", "{o}{o}", "/mnt/farm/a", "/mnt/farmer", "", "F:", "\xff{v}"} {
			f.Add(text, "/mnt/farm", `F:\farm`, "-x {v} {o}", platform)
		}
	}
	f.Fuzz(func(t *testing.T, text, home, away, oneWay, platform string) {
		set := variables.NewOn("linux", map[string]variables.Definition{
			"v": twoWay(on("linux", home), on(platform, away)), "o": {Values: []variables.Value{on("all", oneWay)}},
		}, "/mnt/farm/jobs")
		got := sent(set, text, platform)
		if again := sent(set, text, platform); again != got {
			t.Errorf("%q became %q, then %q", text, got, again)
		}
		if strings.ContainsAny(text, "{/\\") || strings.ContainsAny(home, "/\\") || text == home {
			return
		}
		if got != text && !strings.HasPrefix(text, home) {
			t.Errorf("%q without a variable became %q", text, got)
		}
	})
}
