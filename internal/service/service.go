// SPDX-License-Identifier: GPL-3.0-or-later

// Package service lets the operating system run a program of the farm: it installs, starts, stops and removes it as a
// service of systemd, launchd or Windows, shows what it would write, and lets Windows talk to the program when it runs.
// It must not know what the program does.
package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/kardianos/service"
)

// Program is what can become a service.
type Program struct {
	Name       string   // of the program, and of the service unless another name is given
	Title      string   // for people
	ConfigFile string   // name of its configuration file, which it takes with -config
	Args       []string // what it is started with, beside -config
	Unit       []string // lines of the [Service] section that only it has
}

// Setup is a service as somebody wants it.
type Setup struct {
	Name       string
	User       string // who it runs as; "" = the system, on Windows only
	Dir        string // its working folder, absolute
	Config     string // its configuration file, absolute
	Executable string // the program, absolute
	Env        []string
}

func (s Setup) checkName() error {
	if s.Name == "" || strings.ContainsFunc(s.Name, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '-' && r != '_' && r != '.' && r != '@'
	}) {
		return fmt.Errorf("the name %q is not made of letters, digits, '-', '_', '.' and '@'", s.Name)
	}
	return nil
}

// check refuses what would mean something else in the file of a service than it says.
func (s Setup) check() error {
	if err := s.checkName(); err != nil {
		return err
	}
	for _, text := range slices.Concat([]string{s.User, s.Dir, s.Config, s.Executable}, s.Env) {
		if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, "{{") {
			return fmt.Errorf("%q has characters that the file of a service cannot hold", text)
		}
	}
	for _, path := range []string{s.Dir, s.Config, s.Executable} {
		if !filepath.IsAbs(path) {
			return fmt.Errorf("%q is not an absolute path", path)
		}
	}
	for _, variable := range s.Env {
		if name, _, ok := strings.Cut(variable, "="); !ok || name == "" || strings.ContainsAny(name, " \"'") {
			return fmt.Errorf("the variable %q is not of the form NAME=VALUE", variable)
		}
	}
	if s.User == "" && runtime.GOOS != "windows" {
		return errors.New("say with -user who the service runs as: it should not be root")
	}
	if s.User != "" && runtime.GOOS == "windows" {
		return errors.New("on Windows set the account of the service, with its password, in the program Services after installing it")
	}
	return nil
}

// logVariable names the file that a service of Windows writes its log to: nobody else would keep it.
const logVariable = "FLAMENCO_SERVICE_LOG"

// of is the service of the operating system that s describes.
func (p Program) of(s Setup) (service.Service, error) {
	env := map[string]string{}
	for _, variable := range s.Env {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	if runtime.GOOS == "windows" {
		env[logVariable] = filepath.Join(s.Dir, s.Name+".log")
	}
	if runtime.GOOS == "linux" && service.Platform() != "linux-systemd" {
		return nil, errors.New("this system is not run by systemd; have its own service manager start what -dry-run shows")
	}
	made, err := service.New(nothing{}, &service.Config{
		Name: s.Name, DisplayName: p.Title, Description: p.Title, Executable: s.Executable, Arguments: p.arguments(s),
		UserName: s.User, WorkingDirectory: s.Dir, EnvVars: env,
		Option: service.KeyValue{
			"SystemdScript": p.unit(s), "LaunchdConfig": p.plist(s), // whole: nothing is left to fill in
			"OnFailure": "restart", "OnFailureDelayDuration": "10s",
		},
	})
	if err != nil {
		return nil, fmt.Errorf("reach the services of this system: %w", err)
	}
	return made, nil
}

func (p Program) arguments(s Setup) []string {
	return append([]string{"-config", s.Config}, p.Args...)
}

// nothing is the part of a service that runs, which controlling it does not need.
type nothing struct{}

func (nothing) Start(service.Service) error { return nil }
func (nothing) Stop(service.Service) error  { return nil }

// own is the path of the running program, links resolved.
func own() (string, error) {
	path, err := os.Executable()
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find the program itself: %w", err)
	}
	return path, nil
}
