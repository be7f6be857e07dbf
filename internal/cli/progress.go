// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"flamenco.farm/pkg/api"
)

// counts is how far a job is.
type counts struct {
	status     api.JobStatus
	tasksDone  int
	tasksTotal int
	stepsDone  int
	stepsTotal int
	framesDone int
	frames     int    // 0 when the job renders none
	note       string // why nothing moves
}

// countJob counts what the job itself tells, and its tasks where they are known.
//
// The steps of tasks of the type "blender" are frames. Other steps, such as that of the preview video, count for the bar
// but are not told to people as frames.
func countJob(job api.Job, tasks []api.TaskSummary) counts {
	n := counts{status: job.Status, stepsDone: job.StepsCompleted, stepsTotal: job.StepsTotal}
	steps := 0
	for _, task := range tasks {
		n.tasksTotal++
		if task.Status == api.TaskStatusCompleted {
			n.tasksDone++
		}
		if task.TaskType == "blender" {
			n.frames += task.StepsTotal
			n.framesDone += task.StepsCompleted
		}
		steps += task.StepsTotal
	}
	if n.stepsTotal == 0 {
		n.stepsTotal = steps // Flamenco 3 has no total before the first step
	}
	if known := job.TaskCounts; known != nil {
		n.tasksDone = known.Completed
		n.tasksTotal = known.Active + known.Canceled + known.Completed + known.Failed + known.Paused + known.Queued + known.SoftFailed
	}
	return n
}

func (n counts) percent() int {
	if n.stepsTotal == 0 {
		return 0
	}
	return 100 * n.stepsDone / n.stepsTotal
}

// String says in words how far the job is.
func (n counts) String() string {
	var parts []string
	switch {
	case n.frames > 0:
		parts = append(parts, fmt.Sprintf("%d/%d frames", n.framesDone, n.frames))
	case n.stepsTotal > n.tasksTotal:
		parts = append(parts, fmt.Sprintf("%d/%d steps", n.stepsDone, n.stepsTotal))
	}
	if n.tasksTotal > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d tasks", n.tasksDone, n.tasksTotal))
	}
	if n.status != api.JobStatusActive && n.status != api.JobStatusCompleted {
		parts = append(parts, string(n.status))
	}
	if n.note != "" {
		parts = append(parts, n.note)
	}
	return strings.Join(parts, " · ")
}

// estimate foretells when a job is done from the steps made since it was first seen.
type estimate struct {
	since time.Time
	from  int
	begun bool
}

// left is the time that the rest takes at the pace so far; false as long as there is no pace, or nothing runs.
func (e *estimate) left(now time.Time, n counts) (time.Duration, bool) {
	if !e.begun || n.stepsDone < e.from || n.status != api.JobStatusActive {
		*e = estimate{since: now, from: n.stepsDone, begun: n.status == api.JobStatusActive}
		return 0, false
	}
	made := n.stepsDone - e.from
	if made == 0 || n.stepsTotal == 0 {
		return 0, false
	}
	return time.Duration(float64(now.Sub(e.since)) / float64(made) * float64(n.stepsTotal-n.stepsDone)), true
}

// progress shows how far a job is.
type progress interface {
	show(n counts, left time.Duration, known bool)
	end()
}

// newProgress shows progress on w: a bar on a terminal, lines otherwise.
func newProgress(w io.Writer, s style) progress {
	if s.terminal {
		return &barProgress{w: w, style: s}
	}
	return &lineProgress{w: w}
}

// barProgress is one line of a terminal, written again and again.
type barProgress struct {
	w     io.Writer
	style style
	bar   *progressbar.ProgressBar
	steps int
}

// barWidth is how wide the bar itself is at most; what is said beside it needs about 55 columns.
const barWidth = 32

func (p *barProgress) show(n counts, left time.Duration, known bool) {
	if n.stepsTotal == 0 {
		return
	}
	if p.bar == nil || p.steps != n.stepsTotal {
		p.steps = n.stepsTotal
		p.bar = p.newBar()
	}
	about := n.String()
	if known && n.stepsDone < n.stepsTotal {
		about += " · " + span(left) + " left"
	}
	p.bar.Describe(" " + about)
	_ = p.bar.Set(min(n.stepsDone, n.stepsTotal)) // fails only beyond the maximum
	if n.stepsDone == 0 {
		_ = p.bar.RenderBlank() // a bar without a step done is not drawn otherwise
	}
}

func (p *barProgress) newBar() *progressbar.ProgressBar {
	theme := progressbar.Theme{Saucer: "━", SaucerHead: "━", SaucerPadding: " ", BarStart: "▕", BarEnd: "▏"}
	if p.style.colour {
		theme = progressbar.Theme{
			Saucer: "[green]━[reset]", SaucerHead: "[green]━[reset]", SaucerPadding: "[dark_gray]━[reset]",
			BarStart: "", BarEnd: "",
		}
	}
	return progressbar.NewOptions(
		p.steps,
		progressbar.OptionSetWriter(p.w),
		progressbar.OptionSetWidth(min(barWidth, max(8, p.style.width-60))),
		progressbar.OptionSetTheme(theme),
		progressbar.OptionEnableColorCodes(p.style.colour),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
	)
}

func (p *barProgress) end() {
	if p.bar != nil {
		fmt.Fprintln(p.w)
	}
}

// lineProgress writes a line whenever there is something new to say, but not too often.
type lineProgress struct {
	w       io.Writer
	last    counts
	written time.Time
}

// lineInterval is the time between two lines, when the status stays the same.
const lineInterval = 2 * time.Second

func (p *lineProgress) show(n counts, left time.Duration, known bool) {
	now := time.Now()
	finished := n.stepsTotal > 0 && n.stepsDone == n.stepsTotal
	if n == p.last || n.status == p.last.status && n.note == p.last.note && !finished && now.Sub(p.written) < lineInterval {
		return
	}
	p.last, p.written = n, now
	line := fmt.Sprintf("%3d%%  %v", n.percent(), n)
	if known && !finished {
		line += " · " + span(left) + " left"
	}
	fmt.Fprintln(p.w, line)
}

func (p *lineProgress) end() {}

// jsonProgress writes a message for each change.
type jsonProgress struct {
	w    io.Writer
	job  string
	last counts
}

func (p *jsonProgress) show(n counts, left time.Duration, known bool) {
	if n == p.last {
		return
	}
	p.last = n
	message := map[string]any{
		"type": "progress", "job": p.job, "status": n.status, "tasks_completed": n.tasksDone, "tasks_total": n.tasksTotal,
		"steps_completed": n.stepsDone, "steps_total": n.stepsTotal,
	}
	if n.frames > 0 {
		message["frames_completed"], message["frames_total"] = n.framesDone, n.frames
	}
	if known {
		message["seconds_left"] = int(left.Seconds() + 0.5)
	}
	if n.note != "" {
		message["note"] = n.note
	}
	_ = printLine(p.w, message) // a reader that is gone is noticed when the result is written
}

func (p *jsonProgress) end() {}
