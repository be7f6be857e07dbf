// SPDX-License-Identifier: GPL-3.0-or-later

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// EndLeftovers finds nothing to do: the job object of a Worker that ended, however it did, has ended its commands.
func EndLeftovers(context.Context, string) (int, error) { return 0, nil }

func ownBinary() (path, name string, err error) {
	name, err = os.Executable()
	return name, name, err
}

// shimAttributes take the shim out of Ctrl-C's reach, which is for the Worker.
func shimAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

const (
	messageActiveProcessZero = 4      // JOB_OBJECT_MSG_ACTIVE_PROCESS_ZERO
	endPatience              = 10_000 // milliseconds for a terminated job to become empty
)

// completionPort is JOBOBJECT_ASSOCIATE_COMPLETION_PORT.
type completionPort struct {
	key  uintptr
	port windows.Handle
}

// holder is a job object with the shim and everything that it starts. The system kills its members when our handle is
// closed, which it does itself if we die.
type holder struct {
	job  windows.Handle
	port windows.Handle // tells when the job is empty
}

// hold puts a shim that has not got its order yet into a new job object, so that nothing can be started outside of it.
func hold(shim *os.Process) (*holder, error) {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return nil, fmt.Errorf("create a job object: %w", err)
	}
	h := &holder{job: job}
	if err := h.set(shim); err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

func (h *holder) set(shim *os.Process) error {
	port, err := windows.CreateIoCompletionPort(windows.InvalidHandle, 0, 0, 1)
	if err != nil {
		return fmt.Errorf("create a completion port: %w", err)
	}
	h.port = port
	limits := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{}
	limits.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	_, err = windows.SetInformationJobObject(h.job, windows.JobObjectExtendedLimitInformation,
		uintptr(unsafe.Pointer(&limits)), uint32(unsafe.Sizeof(limits)))
	if err != nil {
		return fmt.Errorf("set up a job object: %w", err)
	}
	association := completionPort{key: uintptr(h.job), port: port}
	_, err = windows.SetInformationJobObject(h.job, windows.JobObjectAssociateCompletionPortInformation,
		uintptr(unsafe.Pointer(&association)), uint32(unsafe.Sizeof(association)))
	if err != nil {
		return fmt.Errorf("watch a job object: %w", err)
	}
	var assignErr error
	handleErr := shim.WithHandle(func(handle uintptr) {
		assignErr = windows.AssignProcessToJobObject(h.job, windows.Handle(handle))
	})
	if err := errors.Join(handleErr, assignErr); err != nil {
		return fmt.Errorf("put the shim into its job object: %w", err)
	}
	return nil
}

func (h *holder) close() {
	_ = windows.CloseHandle(h.job)
	if h.port != 0 {
		_ = windows.CloseHandle(h.port)
	}
}

// endTree ends what is left in the job and waits until that is nothing.
func (h *holder) endTree(string, *started, bool) error {
	if err := windows.TerminateJobObject(h.job, 1); err != nil {
		return fmt.Errorf("end the command's processes: %w", err)
	}
	for {
		var what uint32
		var key uintptr
		var overlapped *windows.Overlapped
		err := windows.GetQueuedCompletionStatus(h.port, &what, &key, &overlapped, endPatience)
		if errors.Is(err, syscall.Errno(windows.WAIT_TIMEOUT)) {
			return errors.New("the command's processes do not end")
		}
		if err != nil {
			return fmt.Errorf("wait for the command's processes: %w", err)
		}
		if what == messageActiveProcessZero {
			return nil
		}
	}
}
