// SPDX-License-Identifier: GPL-3.0-or-later

package service

import (
	"encoding/xml"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
)

// show is what installing writes, and where.
func (p Program) show(s Setup) string {
	switch runtime.GOOS {
	case "windows":
		return fmt.Sprintf("service:  %s (%s)\nprogram:  %s %s\nvariables: %s\nstarts:   with Windows, and 10 s after a failure\nlog:      %s\n",
			s.Name, p.Title, s.Executable, strings.Join(p.arguments(s), " "), strings.Join(s.Env, " "), filepath.Join(s.Dir, s.Name+".log"))
	case "darwin":
		return "<!-- /Library/LaunchDaemons/" + s.Name + ".plist -->\n" + p.plist(s)
	}
	return "# /etc/systemd/system/" + s.Name + ".service\n" + p.unit(s)
}

// unit is the unit file for systemd.
func (p Program) unit(s Setup) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("[Unit]")
	line("Description=%s", p.Title)
	line("Wants=network-online.target")
	line("After=network-online.target remote-fs.target")
	line("")
	line("[Service]")
	line("User=%s", percent(s.User))
	line("WorkingDirectory=%s", percent(s.Dir))
	for _, variable := range s.Env {
		line("Environment=%s", quote(variable))
	}
	words := []string{quote(s.Executable)}
	for _, argument := range p.arguments(s) {
		words = append(words, strings.ReplaceAll(quote(argument), "$", "$$"))
	}
	line("ExecStart=%s", strings.Join(words, " "))
	for _, text := range p.Unit {
		line("%s", text)
	}
	line("")
	line("[Install]")
	line("WantedBy=multi-user.target")
	return b.String()
}

// percent keeps systemd from seeing its specifiers.
func percent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

func quote(text string) string {
	return `"` + percent(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text)) + `"`
}

// plist is the property list for launchd. A service that ends by itself with exit code 0 was asked to, and stays ended.
func (p Program) plist(s Setup) string {
	var b strings.Builder
	b.WriteString(xml.Header + `<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
`)
	text := func(key, value string) {
		fmt.Fprintf(&b, "\t<key>%s</key>\n\t<string>%s</string>\n", key, escaped(value))
	}
	text("Label", s.Name)
	b.WriteString("\t<key>ProgramArguments</key>\n\t<array>\n")
	for _, word := range append([]string{s.Executable}, p.arguments(s)...) {
		fmt.Fprintf(&b, "\t\t<string>%s</string>\n", escaped(word))
	}
	b.WriteString("\t</array>\n")
	if len(s.Env) > 0 {
		b.WriteString("\t<key>EnvironmentVariables</key>\n\t<dict>\n")
		for _, variable := range s.Env {
			name, value, _ := strings.Cut(variable, "=")
			fmt.Fprintf(&b, "\t\t<key>%s</key>\n\t\t<string>%s</string>\n", escaped(name), escaped(value))
		}
		b.WriteString("\t</dict>\n")
	}
	text("UserName", s.User)
	text("WorkingDirectory", s.Dir)
	text("StandardOutPath", filepath.Join(s.Dir, s.Name+".log"))
	text("StandardErrorPath", filepath.Join(s.Dir, s.Name+".log"))
	b.WriteString(`	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ExitTimeOut</key>
	<integer>60</integer>
</dict>
</plist>
`)
	return b.String()
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
