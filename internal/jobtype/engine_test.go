// SPDX-License-Identifier: GPL-3.0-or-later

package jobtype

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// serveHere runs a compiler process's work in this process: its order, and all that it answers.
func serveHere(t *testing.T, s setup, o any) (replies []reply, log string, err error) {
	t.Helper()
	in, feed := io.Pipe()
	exited := make(chan int, 1)
	var out, printed bytes.Buffer
	c := &child{
		out: bufio.NewWriter(&out), log: &printed,
		limit: func(time.Duration, int64) error { return nil },
		exit:  func(code int) { exited <- code },
	}
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		w := json.NewEncoder(feed)
		_ = w.Encode(s)
		if o != nil {
			_ = w.Encode(o)
		}
		if o == nil {
			feed.Close()
		}
	}()
	err = c.serve(in)
	in.CloseWithError(io.EOF) // a failed serve leaves what it did not read
	feed.Close()
	<-fed
	if _, isOrder := o.(order); isOrder && err == nil {
		if code := <-exited; code == 0 {
			t.Error("the process does not notice that its Manager is gone")
		}
	}
	for d := json.NewDecoder(&out); d.More(); {
		var r reply
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		replies = append(replies, r)
	}
	return replies, printed.String(), err
}

func hereSetup(body string) setup {
	return setup{
		Scripts: []script{{"mine.js", scriptOf(body)["mine.js"]}}, TimeLimit: time.Minute, MemoryLimit: 8 << 20,
		MaxTasks: 2000, MaxOutput: 200_000,
	}
}

var hereOrder = order{Script: "mine.js", Job: &jobInput{Name: "a job", Settings: map[string]any{"n": 1200}}}

func TestACompilerProcessAnswersItsOrderInBatches(t *testing.T) {
	t.Parallel()
	replies, log, err := serveHere(t, hereSetup("print('hi'); for (let i = 0; i < job.settings.n; i++) job.addTask(author.Task('t' + i, 'misc'))"), hereOrder)
	if err != nil || len(replies) != 6 || !replies[0].Ready || !replies[1].Started || replies[5].Job == nil {
		t.Fatalf("%d replies, %v", len(replies), err)
	}
	if n := len(replies[2].Tasks) + len(replies[3].Tasks) + len(replies[4].Tasks); n != 1200 {
		t.Errorf("it made %d tasks", n)
	}
	if log != `{"level":"print","text":"hi"}`+"\n" {
		t.Errorf("it printed %s", log)
	}
}

func TestACompilerProcessDescribesATypeOrSaysWhereItFailed(t *testing.T) {
	t.Parallel()
	replies, _, err := serveHere(t, hereSetup(""), order{Script: "mine.js"})
	if err != nil || len(replies) != 3 || !strings.Contains(string(replies[2].JobType), `"label":"Mine"`) {
		t.Errorf("%+v, %v", replies, err)
	}
	for body, want := range map[string]failure{
		"\nnull.x": {"TypeError: cannot read property 'x' of null", "mine.js", 3},
		"\nthrow ['text']; // then a second run finds the line": {`["text"]`, "mine.js", 3},
		"throw job.created.now":                                 {"undefined", "mine.js", 2},
		"syntax error":                                          {"", "mine.js", 2},
		"for (;;) job.addTask(author.Task('x', 'y'))":           {"RangeError: the job has more than 2000 tasks", "mine.js", 2},
		"job.addTask(author.Task('x'.repeat(3e5), 'y'))":        {"the tasks are larger than the limit of 0.2 MB", "mine.js", 0},
		"const a = []; for (;;) a.push('t' + a.length)":         {"it needs more memory than the limit of 8 MiB", "mine.js", 2},
		"throw null": {"null", "mine.js", 2},
		// These two leave no room for the error itself, so that the engine throws null.
		"let a = []; for (;;) { a.push(new Array(3).fill('x' + a.length)) }":               {"it needs more memory than the limit of 8 MiB", "mine.js", 0},
		"let a = []; for (;;) {if(!a) throw 1; a.push(new Array(3).fill('x' + a.length))}": {"it needs more memory than the limit of 8 MiB", "mine.js", 0},
	} {
		replies, _, err := serveHere(t, hereSetup(body), hereOrder)
		if err != nil || len(replies) < 3 || replies[len(replies)-1].Failure == nil {
			t.Errorf("%s: %+v, %v", body, replies, err)
			continue
		}
		got := *replies[len(replies)-1].Failure
		if want.Message == "" {
			got.Message = ""
		}
		if got != want {
			t.Errorf("%s: %+v, not %+v", body, got, want)
		}
	}
}

func TestACompilerProcessStopsAScriptAtItsTimeLimit(t *testing.T) {
	t.Parallel()
	s := hereSetup("for (;;) Math.abs(1)")
	s.TimeLimit = 100 * time.Millisecond
	replies, _, err := serveHere(t, s, hereOrder)
	if err != nil || len(replies) != 3 || replies[2].Failure == nil || replies[2].Failure.Line != 2 {
		t.Errorf("%+v, %v", replies, err)
	}
}

func TestACompilerProcessThatIsNotNeededEndsQuietly(t *testing.T) {
	t.Parallel()
	replies, _, err := serveHere(t, hereSetup(""), nil)
	if err != nil || len(replies) != 1 {
		t.Errorf("%+v, %v", replies, err)
	}
}

func TestACompilerProcessRefusesOrdersThatAreNone(t *testing.T) {
	t.Parallel()
	if _, _, err := serveHere(t, hereSetup(""), "an order"); err == nil {
		t.Error("it takes a text for an order")
	}
	var out bytes.Buffer
	if code := ChildMain(strings.NewReader("nonsense"), &out); code != 1 {
		t.Errorf("the exit code is %d", code)
	}
	c := &child{out: bufio.NewWriter(&out), limit: func(time.Duration, int64) error { return errors.New("no limits here") }}
	if err := c.serve(strings.NewReader("{}")); err == nil || !strings.Contains(err.Error(), "no limits here") {
		t.Errorf("it goes on without limits: %v", err)
	}
}

func TestThrowStatementsAreRewrittenAndOtherWordsAreNot(t *testing.T) {
	t.Parallel()
	const mark = "throw require.thrown(new Error().stack), "
	for text, want := range map[string]string{
		"throw 'x'":               mark + " 'x'",
		"throw(x)":                mark + "(x)",
		"if (a) throw`x`;":        "if (a) " + mark + "`x`;",
		"generator.throw(x)":      "generator.throw(x)",
		"rethrow('x'); $throw(1)": "rethrow('x'); $throw(1)",
		"{throw: 1}":              "{throw: 1}",
	} {
		if got := traceThrows(text); got != want {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}
