// SPDX-License-Identifier: GPL-3.0-or-later

package service

import (
	"encoding/xml"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSystemdGetsWhatWasAskedFor(t *testing.T) {
	t.Parallel()
	p := Program{Name: "flamenco-thing", Title: "Flamenco Thing", ConfigFile: "thing.yaml", Args: []string{"-code", "$4%"}, Unit: []string{"Restart=always", "Delegate=yes"}}
	s := Setup{
		Name: "thing-b", User: "farm", Dir: "/srv/100% farm", Config: `/srv/a "b" \c.yaml`, Executable: "/opt/fla menco/flamenco-thing",
		Env: []string{"FLAMENCO_HOME=/srv/b", `NAME=say "50%"`},
	}
	want := `[Unit]
Description=Flamenco Thing
Wants=network-online.target
After=network-online.target remote-fs.target

[Service]
User=farm
WorkingDirectory=/srv/100%% farm
Environment="FLAMENCO_HOME=/srv/b"
Environment="NAME=say \"50%%\""
ExecStart="/opt/fla menco/flamenco-thing" "-config" "/srv/a \"b\" \\c.yaml" "-code" "$$4%%"
Restart=always
Delegate=yes

[Install]
WantedBy=multi-user.target
`
	if diff := cmp.Diff(want, p.unit(s)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLaunchdGetsAPropertyList(t *testing.T) {
	t.Parallel()
	p := Program{Name: "flamenco-thing", Args: []string{"-code", "47"}}
	text := p.plist(Setup{Name: "thing", User: "farm", Dir: "/srv/a & b", Config: "/srv/<c>.yaml", Executable: "/opt/thing", Env: []string{"A=1 < 2"}})
	var words []string
	for decoder := xml.NewDecoder(strings.NewReader(text)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if chars, ok := token.(xml.CharData); ok && strings.TrimSpace(string(chars)) != "" {
			words = append(words, string(chars))
		}
	}
	want := "Label|thing|ProgramArguments|/opt/thing|-config|/srv/<c>.yaml|-code|47|EnvironmentVariables|A|1 < 2|UserName|farm|WorkingDirectory|/srv/a & b|"
	if got := strings.Join(words, "|"); !strings.HasPrefix(got, want) {
		t.Errorf("holds %s\nwant %s", got, want)
	}
}

func TestWhatWouldMeanSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	good := Setup{Name: "thing@gpu0", Dir: absolute("srv"), Config: absolute("srv/c.yaml"), Executable: absolute("opt/thing")}
	if runtime.GOOS != "windows" {
		good.User = "farm"
	}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Setup){
		"the name":             func(s *Setup) { s.Name = "../../etc/passwd" },
		"cannot hold":          func(s *Setup) { s.Dir += "\nExecStart=/bin/rm" },
		"NAME=VALUE":           func(s *Setup) { s.Env = []string{"NAME"} },
		"not an absolute path": func(s *Setup) { s.Config = "c.yaml" },
		"{{":                   func(s *Setup) { s.Env = []string{"A={{Path}}"} },
	} {
		s := good
		change(&s)
		if err := s.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
}

func absolute(path string) string {
	if runtime.GOOS == "windows" {
		return `C:\` + path
	}
	return "/" + path
}

func TestTheCommandShowsItsWork(t *testing.T) {
	t.Parallel()
	p := Program{Name: "flamenco-thing", Title: "Flamenco Thing", ConfigFile: "thing.yaml"}
	account := []string{"-user", "farm"}
	if runtime.GOOS == "windows" {
		account = []string{"-user", ""}
	}
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{append([]string{"show"}, account...), exitOK, "flamenco-thing"},
		{append([]string{"install", "-dry-run", "-name", "b", "-env", "A=1"}, account...), exitOK, "thing.yaml"},
		{append([]string{"install", "-name", "a b"}, account...), exitUsage, ""},
		{[]string{"uninstall", "-user", "x"}, exitUsage, ""},
		{[]string{"start", "-name", "no-such-service", "more"}, exitUsage, ""},
		{[]string{"explode"}, exitUsage, ""},
		{[]string{"show", "-help"}, exitOK, ""},
		{nil, exitUsage, ""},
	} {
		var out, problems strings.Builder
		if code := p.Main(c.args, &out, &problems); code != c.code || !strings.Contains(out.String(), c.out) {
			t.Errorf("%q: %d %s %s", c.args, code, &out, &problems)
		}
	}
}
