// SPDX-License-Identifier: GPL-3.0-or-later

package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"
)

// DefaultProfilesAddress is where profiles are served when nobody says where.
const DefaultProfilesAddress = "127.0.0.1:6060"

// profilesFlag is the flag that says where.
const profilesFlag = "pprof"

// ProfilesUsage is the help of the flag -pprof.
const ProfilesUsage = "serve profiles of the program at /debug/pprof/ of this `ADDRESS`, which only this machine may reach; without one: " + DefaultProfilesAddress

// WithProfilesAddress lets -pprof stand alone, as it does for Flamenco 3: it then means DefaultProfilesAddress.
func WithProfilesAddress(args []string) []string {
	full := make([]string, 0, len(args)+1)
	for i, arg := range args {
		full = append(full, arg)
		alone := i+1 == len(args) || strings.HasPrefix(args[i+1], "-")
		if alone && (arg == "-"+profilesFlag || arg == "--"+profilesFlag) {
			full = append(full, DefaultProfilesAddress)
		}
	}
	return full
}

// CheckProfilesAddress refuses an address that other machines could reach: profiles show what is in memory.
func CheckProfilesAddress(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address such as %s", address, DefaultProfilesAddress)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("profiles are for this machine only: %s is not an address such as %s", address, DefaultProfilesAddress)
	}
	return nil
}

// ServeProfiles answers the Go tool pprof until ctx ends. The log tells the address.
func ServeProfiles(ctx context.Context, address string, log *slog.Logger) error {
	if err := CheckProfilesAddress(address); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return serve(ctx, address, "profiles", "/debug/pprof/", mux, log)
}

// serve answers requests at an address of its own until ctx ends; what is in the making then is nobody's loss.
func serve(ctx context.Context, address, what, path string, handler http.Handler, log *slog.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("cannot serve %s on %s: %w", what, address, err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	log.Info(what+" are served", "url", "http://"+listener.Addr().String()+path)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", what, err)
	}
	return nil
}
