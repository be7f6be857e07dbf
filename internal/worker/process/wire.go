// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"flamenco.farm/internal/farm"
)

// message goes from the parent to the shim: one Start, then any number of Left, and at most one Stop.
type message struct {
	Start *order `json:"start,omitempty"`
	Stop  bool   `json:"stop,omitempty"`
	// Left is for how long the command may go on from now, where Start named such a time.
	Left time.Duration `json:"left,omitempty"`
}

// order is what the shim is to run. It travels through a pipe, so that it shows in no process list and may be longer
// than a command line.
type order struct {
	Path           string        `json:"path"`
	Args           []string      `json:"args"`
	Dir            string        `json:"dir"`
	Assignment     string        `json:"assignment"`
	Home           string        `json:"home"`
	OOMScoreAdjust *int          `json:"oom_score_adjust"`
	Grace          time.Duration `json:"grace"`
	Left           time.Duration `json:"left,omitempty"` // 0 = without limit
}

// report goes from the shim to the parent: Failed, or Started and then Exited. One of its fields is set.
type report struct {
	Started *started `json:"started,omitempty"`
	Failed  *failure `json:"failed,omitempty"`
	Exited  *exit    `json:"exited,omitempty"`
}

// started says where the command runs, for the case that the shim is killed.
type started struct {
	Pid     int    `json:"pid"`
	Cgroup  string `json:"cgroup,omitempty"` // folder of the command's own cgroup, if it has one
	Warning string `json:"warning,omitempty"`
}

// failure says why the command did not start.
type failure struct {
	Code    farm.Code `json:"code"`
	Message string    `json:"message"`
}

// exit says how the command ended.
type exit struct {
	Code    int  `json:"code"`
	Signal  int  `json:"signal"`
	Dumped  bool `json:"dumped"`
	Stopped bool `json:"stopped"` // the shim was told to end it
	Over    bool `json:"over"`    // its time was over
}

func (e exit) describe(r *Result) {
	r.ExitCode, r.Signal = e.Code, e.Signal
	switch {
	case e.Signal != 0 && isCrash(syscall.Signal(e.Signal)):
		r.Reason = fmt.Sprintf("crashed with signal %d (%v)", e.Signal, syscall.Signal(e.Signal))
	case e.Signal != 0:
		r.Reason = fmt.Sprintf("killed by signal %d (%v)", e.Signal, syscall.Signal(e.Signal))
	case uint32(e.Code) >= crashCodes:
		r.Reason = fmt.Sprintf("crashed with code 0x%X", uint32(e.Code))
	case e.Code != 0:
		r.Reason = fmt.Sprintf("exit code %d", e.Code)
	}
	if e.Stopped && r.Reason != "" {
		r.Reason += ", after its shim was told to stop"
	}
}

// crashCodes is where Windows' exception codes begin, such as 0xC0000005 for an access violation.
const crashCodes = 0xC0000000

// isCrash tells the signals by which a program brings itself down from those that somebody sent.
func isCrash(s syscall.Signal) bool {
	switch s {
	case syscall.SIGSEGV, syscall.SIGBUS, syscall.SIGILL, syscall.SIGFPE, syscall.SIGABRT, syscall.SIGTRAP:
		return true
	}
	return false
}

func nextReport(d *json.Decoder) (report, error) {
	var r report
	if err := d.Decode(&r); err != nil {
		return report{}, fmt.Errorf("no report: %w", err)
	}
	return r, nil
}
