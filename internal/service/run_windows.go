// SPDX-License-Identifier: GPL-3.0-or-later

package service

import (
	"fmt"
	"os"
	"sync/atomic"

	"github.com/kardianos/service"
)

// Run runs a program, which is told by signals to stop. Started by Windows as a service, it is told so too when Windows
// wants it to, and its log goes to a file.
func Run(name string, signals chan os.Signal, program func(signals <-chan os.Signal) int) int {
	if service.Interactive() {
		return program(signals)
	}
	if path := os.Getenv(logVariable); path != "" {
		if file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err == nil {
			os.Stdout, os.Stderr = file, file
		}
	}
	r := &running{signals: signals, program: program, ended: make(chan struct{})}
	svc, err := service.New(r, &service.Config{Name: name})
	if err == nil {
		err = svc.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, name+": as a service:", err)
		return 1
	}
	return 0
}

// running is a program that Windows has started as a service.
type running struct {
	signals chan os.Signal
	program func(<-chan os.Signal) int
	ended   chan struct{}
	told    atomic.Bool // by Windows to stop
}

func (r *running) Start(svc service.Service) error {
	go func() {
		code := r.program(r.signals)
		close(r.ended)
		if r.told.Load() {
			return // Run returns when Stop has
		}
		if code != 0 {
			os.Exit(code) // Windows takes that for a failure, and starts it again
		}
		if err := svc.Stop(); err != nil {
			os.Exit(0)
		}
	}()
	return nil
}

// Stop returns when the program has ended, in its own time: Windows waits.
func (r *running) Stop(service.Service) error {
	r.told.Store(true)
	select {
	case r.signals <- os.Interrupt:
	default:
	}
	<-r.ended
	return nil
}
