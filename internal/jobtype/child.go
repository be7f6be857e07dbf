// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"
)

// What one run of a script may print: more is dropped, and the log says so.
const (
	maxLogLines = 1000
	maxLogBytes = 64 << 10
)

// ChildMain is the compiler process: it reads a setup and one order from stdin, answers on stdout and returns its exit
// code. The Manager's main calls it, before anything else, when its first argument is CompileArg.
func ChildMain(stdin io.Reader, stdout io.Writer) int {
	c := &child{out: bufio.NewWriterSize(stdout, 1<<16), log: os.Stderr, limit: limitProcess, exit: os.Exit}
	if err := c.serve(stdin); err != nil {
		fmt.Fprintln(os.Stderr, "compiler process:", err)
		return 1
	}
	return 0
}

type child struct {
	out   *bufio.Writer
	log   io.Writer
	limit func(cpu time.Duration, memory int64) error
	exit  func(code int)
	setup setup

	emitted  int64
	logged   int
	logLines int
}

func (c *child) serve(stdin io.Reader) error {
	debug.SetGCPercent(400)  // a short life: collect seldom
	_, _ = time.Now().Zone() // loads the time zone while files can still be opened
	in := json.NewDecoder(stdin)
	if err := in.Decode(&c.setup); err != nil {
		return fmt.Errorf("reading the setup: %w", err)
	}
	if err := c.limit(c.setup.TimeLimit, c.setup.MemoryLimit); err != nil {
		return fmt.Errorf("limiting the process: %w", err)
	}
	e, err := newEngine(c.setup, sink{tasks: c.tasks, log: c.print}, false)
	if err != nil {
		return err
	}
	if err := c.reply(reply{Ready: true}); err != nil {
		return err
	}
	var o order
	switch err := in.Decode(&o); {
	case err == io.EOF:
		return nil // a spare that was never needed
	case err != nil:
		return fmt.Errorf("reading the order: %w", err)
	}
	go c.exitAtEOF(in, stdin)
	e.deadline = time.Now().Add(c.setup.TimeLimit)
	if err := c.reply(reply{Started: true}); err != nil {
		return err
	}
	return c.reply(c.obey(e, o))
}

// exitAtEOF ends this process when the Manager's end of the pipe closes: a script must not outlive its Manager.
func (c *child) exitAtEOF(in *json.Decoder, stdin io.Reader) {
	_, _ = io.Copy(io.Discard, io.MultiReader(in.Buffered(), stdin))
	c.exit(1)
}

func (c *child) obey(e *engine, o order) reply {
	answer := carryOut(e, o)
	if f := answer.Failure; f != nil && f.Line == 0 && !e.traced {
		if line := c.whereThrown(e, o, f); line != nil {
			answer.Failure = line
		}
	}
	if f := answer.Failure; f != nil && f.Line == 0 && f.Message == "null" {
		f.Message = e.memoryMessage() // no throw made it: the engine throws null when not even the error has room
	}
	return answer
}

func carryOut(e *engine, o order) (answer reply) {
	if o.Job == nil {
		answer.JobType, answer.Failure = e.describe(o.Script)
		return answer
	}
	result, fail := e.compile(o.Script, o.Job)
	if fail != nil {
		return reply{Failure: fail}
	}
	var job jobOutput
	if err := decode(result, &job); err != nil {
		return reply{Failure: &failure{Message: "it made rubbish of the job: " + err.Error(), Script: o.Script}}
	}
	return reply{Job: &job}
}

// whereThrown runs the script once more, silently, to find the line where it threw something that has no stack.
func (c *child) whereThrown(e *engine, o order, first *failure) *failure {
	if !strings.Contains(e.scripts[o.Script], "throw") || e.close() != nil {
		return nil
	}
	quiet := sink{tasks: func(string) error { return nil }, log: func(string, string) {}}
	again, err := newEngine(c.setup, quiet, true)
	if err != nil {
		return nil
	}
	again.deadline = e.deadline
	second := carryOut(again, o).Failure
	if second == nil || second.Message != first.Message || second.Line == 0 {
		return nil
	}
	return second
}

func (c *child) reply(r reply) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding a reply: %w", err)
	}
	_, _ = c.out.Write(append(line, '\n')) // a bufio.Writer repeats its first error
	return c.out.Flush()
}

// tasks passes on a batch of tasks, which the prelude already made JSON of.
func (c *child) tasks(batch string) error {
	if c.emitted += int64(len(batch)); c.emitted > c.setup.MaxOutput {
		return fmt.Errorf("the tasks are larger than the limit of %.1f MB", float64(c.setup.MaxOutput)/1e6)
	}
	_, _ = c.out.WriteString(`{"tasks":`)
	_, _ = c.out.WriteString(batch)
	_, err := c.out.WriteString("}\n")
	return err
}

func (c *child) print(level, text string) {
	if c.logLines > maxLogLines {
		return
	}
	if c.logLines++; c.logLines > maxLogLines || c.logged+len(text) > maxLogBytes {
		c.logLines = maxLogLines + 1
		level, text = "alert", fmt.Sprintf("the script printed more than %d lines or %d KiB: the rest is dropped",
			maxLogLines, maxLogBytes>>10)
	}
	c.logged += len(text)
	if line, err := json.Marshal(logLine{Level: level, Text: strings.ToValidUTF8(text, string(utf8.RuneError))}); err == nil {
		_, _ = c.log.Write(append(line, '\n'))
	}
}
