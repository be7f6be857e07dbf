// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"encoding/json"
	"time"
)

// What the Manager and its compiler process say to each other: JSON, one message per line. The Manager sends a setup
// at once and, perhaps much later, one order. The compiler answers the setup by being ready, and the order with replies:
// one that it started, any number with tasks, then one with the result or the failure. What scripts print goes to stderr as lines of logLine.

// CompileArg is the first argument that makes the Manager's main call ChildMain.
const CompileArg = "__compile"

// setup is all that a compiler process ever knows of the world: it opens no files itself.
type setup struct {
	Scripts     []script
	Dir         string // what process.cwd() answers
	TimeLimit   time.Duration
	MemoryLimit int64
	MaxTasks    int
	MaxOutput   int64
}

// script is one file that scripts may require, by its file name.
type script struct {
	Name string
	Text string
}

// order says what to do with one script. Job is nil when only JOB_TYPE is wanted.
type order struct {
	Script string
	Job    *jobInput
}

// jobInput is what a script sees of the submission.
type jobInput struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Type      string            `json:"type"`
	Priority  int               `json:"priority"`
	Created   int64             `json:"created"` // milliseconds since 1970
	Settings  map[string]any    `json:"settings"`
	Metadata  map[string]string `json:"metadata"`
	Checkout  string            `json:"checkout"`
	WorkerTag string            `json:"workerTag"`
}

// reply has exactly one field set.
type reply struct {
	Ready   bool            `json:"ready,omitempty"`
	Started bool            `json:"started,omitempty"`
	Tasks   []taskOutput    `json:"tasks,omitempty"`
	JobType json.RawMessage `json:"jobType,omitempty"`
	Job     *jobOutput      `json:"job,omitempty"`
	Failure *failure        `json:"failure,omitempty"`
}

// jobOutput is what a script changed of the job. Only settings that it changed are here, so that the others keep the
// exact value they were submitted with.
type jobOutput struct {
	Name     string            `json:"name"`
	Priority int               `json:"priority"`
	Set      map[string]any    `json:"set"`
	Unset    []string          `json:"unset"`
	Metadata map[string]string `json:"metadata"`
}

type taskOutput struct {
	Name         string          `json:"name"`
	Type         string          `json:"type"`
	Priority     int             `json:"priority"`
	Commands     []commandOutput `json:"commands"`
	Dependencies []int           `json:"dependencies"`
	OnDisconnect string          `json:"onDisconnect"`
}

type commandOutput struct {
	Name       string         `json:"name"`
	Parameters map[string]any `json:"parameters"`
	Steps      int            `json:"steps"`
}

// failure is why a script did not compile, and where. Line is 0 when nobody knows.
type failure struct {
	Message string `json:"message"`
	Script  string `json:"script"`
	Line    int    `json:"line"`
}

// logLine is something that a script printed.
type logLine struct {
	Level string `json:"level"` // print or alert
	Text  string `json:"text"`
}
