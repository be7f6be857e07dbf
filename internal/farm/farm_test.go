// SPDX-License-Identifier: GPL-3.0-or-later

package farm_test

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"flamenco.farm/internal/farm"
)

func TestCountsFollowTasksFromStatusToStatus(t *testing.T) {
	t.Parallel()
	var c farm.TaskCounts
	for i, s := range farm.TaskStatuses {
		c.Add(s, i+1)
	}
	total := c.Total()
	for i, from := range farm.TaskStatuses {
		to := farm.TaskStatuses[(i+1)%len(farm.TaskStatuses)]
		before := c.Of(to)
		c.Move(from, to)
		if c.Of(to) != before+1 || c.Total() != total {
			t.Errorf("moving a task from %s to %s made %+v", from, to, c)
		}
	}
}

func TestOnlyTheStatusesOfTheAPIAreValid(t *testing.T) {
	t.Parallel()
	for _, s := range farm.JobStatuses {
		if !s.Valid() {
			t.Errorf("job status %s is not valid", s)
		}
	}
	if farm.JobStatus("done").Valid() || farm.TaskStatus("").Valid() || farm.WorkerStatus("dead").Valid() {
		t.Error("a made-up status is valid")
	}
}

func TestWhatIsNotThereIsNotExistWhereverItIsSaid(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		farm.ErrNotExist,
		fmt.Errorf("reading: %w", fs.ErrNotExist),
		fmt.Errorf("loading: %w", farm.Errorf(farm.CodeNotFound, "there is no job %d", 1)),
	} {
		if !farm.IsNotExist(err) {
			t.Errorf("%v is not taken for something that is not there", err)
		}
	}
	if farm.IsNotExist(nil) || farm.IsNotExist(farm.ErrBusy) {
		t.Error("nil or busy is taken for something that is not there")
	}
}

func TestErrorsAreToldApartByTheirCode(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("saving: %w", farm.Errorf(farm.CodeBusy, "locked by process %d", 7))
	if !errors.Is(err, farm.ErrBusy) || errors.Is(err, farm.ErrNotExist) || farm.CodeOf(err) != farm.CodeBusy {
		t.Errorf("%v has code %q", err, farm.CodeOf(err))
	}
	if farm.CodeOf(errors.New("x")) != "" {
		t.Error("an error without a code has one")
	}
}

func TestACommandWithoutStepsCountsAsOne(t *testing.T) {
	t.Parallel()
	task := farm.NewTask{Commands: []farm.Command{{Name: "echo"}, {Name: "blender-render", TotalStepCount: 24}}}
	if got := task.Steps(); got != 25 {
		t.Errorf("the task has %d steps, want 25", got)
	}
}

func TestRendersAreKeptOnDisconnectAndUnknownTasksStop(t *testing.T) {
	t.Parallel()
	for taskType, want := range map[string]farm.OnDisconnect{
		"blender": farm.KeepOnDisconnect, "ffmpeg": farm.KeepOnDisconnect,
		"misc": farm.StopOnDisconnect, "simulation": farm.StopOnDisconnect,
	} {
		if got := farm.DefaultOnDisconnect(taskType); got != want {
			t.Errorf("%s: %s, want %s", taskType, got, want)
		}
	}
}
