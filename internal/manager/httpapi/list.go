// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"flamenco.farm/pkg/api"
)

// partTime is how long a client may take to read a part of a list or of an export. Whoever reads nothing for so long is cut off.
const partTime = time.Minute

// turns is how many lists may be read and encoded at once: half of the processors, so that whoever watches the farm leaves
// room for those who work on it. They are taken part by part in the order of asking, so that a page need not wait until
// somebody else's long list is through. Nobody waits for a client while it is his turn.
type turns chan struct{}

func newTurns() turns { return make(turns, max(1, runtime.GOMAXPROCS(0)/2)) }

// turn is that of one answer.
type turn struct {
	turns turns
	mine  bool
}

func (t *turn) take(ctx context.Context) error {
	select {
	case t.turns <- struct{}{}:
		t.mine = true
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pass lets the next one have its turn, if it is ours.
func (t *turn) pass() {
	if t.mine {
		t.mine = false
		<-t.turns
	}
}

// streamed is an answer that is written while it is read.
type streamed func(http.ResponseWriter) error

// VisitFetchJobsResponse writes the answer.
func (s streamed) VisitFetchJobsResponse(w http.ResponseWriter) error { return s(w) }

// VisitFetchJobTasksResponse writes the answer.
func (s streamed) VisitFetchJobTasksResponse(w http.ResponseWriter) error { return s(w) }

// VisitFetchWorkersResponse writes the answer.
func (s streamed) VisitFetchWorkersResponse(w http.ResponseWriter) error { return s(w) }

var (
	_ api.FetchJobsResponseObject     = streamed(nil)
	_ api.FetchJobTasksResponseObject = streamed(nil)
	_ api.FetchWorkersResponseObject  = streamed(nil)
)

// writer writes an entry of a list as JSON.
type writer[T any] func(*bytes.Buffer, T) error

// converted writes what convert makes of an entry.
func converted[T, A any](convert func(T) A) writer[T] {
	return func(text *bytes.Buffer, item T) error {
		err := json.NewEncoder(text).Encode(convert(item))
		if err == nil {
			text.Truncate(text.Len() - 1) // the line break
		}
		return err
	}
}

// streamPage answers with one page of a list, and the header that says where the next one begins.
func streamPage[T any](ctx context.Context, t turns, name string, read func() ([]T, string, error), write writer[T]) streamed {
	return func(w http.ResponseWriter) error {
		return writeList(ctx, w, t, name, write, func(yield func([]T, error) bool) {
			items, next, err := read()
			if next != "" {
				w.Header().Set("X-Flamenco-Next", next)
			}
			yield(items, err)
		})
	}
}

// streamAll answers with a whole list.
func streamAll[T any](ctx context.Context, t turns, name string, parts iter.Seq2[[]T, error], write writer[T]) streamed {
	return func(w http.ResponseWriter) error { return writeList(ctx, w, t, name, write, parts) }
}

// sendFrom is how much of a list is sent at once, in bytes; a shorter one goes out in one piece.
const sendFrom = 64 << 10

// writeList writes {"name":[…]} part by part. An error before anything was sent is answered as any other; one behind it
// cuts the connection, so that nobody takes half a list for a whole one.
func writeList[T any](ctx context.Context, w http.ResponseWriter, t turns, name string, write writer[T], parts iter.Seq2[[]T, error]) error {
	out := &listWriter{w: w}
	out.text.WriteString(`{"` + name + `":[`)
	turn := turn{turns: t}
	defer turn.pass()
	if err := turn.take(ctx); err != nil {
		return err
	}
	for items, err := range parts {
		if err == nil {
			err = encode(out, items, write)
		}
		if err == nil && out.text.Len() >= sendFrom {
			turn.pass()
			if err = out.send(); err == nil {
				err = turn.take(ctx)
			}
		}
		if err != nil {
			return out.failed(err)
		}
	}
	turn.pass()
	out.text.WriteString("]}\n")
	if !out.begun {
		w.Header().Set("Content-Length", strconv.Itoa(out.text.Len()))
	}
	return out.failed(out.send())
}

// encode adds items to what is to be sent.
func encode[T any](out *listWriter, items []T, write writer[T]) error {
	for _, item := range items {
		if out.items++; out.items > 1 {
			out.text.WriteByte(',')
		}
		if err := write(&out.text, item); err != nil {
			return err
		}
	}
	return nil
}

// listWriter is a list on its way to a client.
type listWriter struct {
	w     http.ResponseWriter
	text  bytes.Buffer // what was not sent yet
	items int
	begun bool // something was sent
}

// send sends what is there.
func (l *listWriter) send() error {
	return inTime(l.w, func() error {
		if !l.begun {
			l.begun = true
			l.w.Header().Set("Content-Type", "application/json")
			l.w.WriteHeader(http.StatusOK)
		}
		_, err := l.text.WriteTo(l.w)
		return err
	})
}

// inTime sends a part of an answer, for which the client has partTime.
func inTime(w http.ResponseWriter, send func() error) error {
	connection := http.NewResponseController(w)
	_ = connection.SetWriteDeadline(time.Now().Add(partTime)) // a test's recorder has none
	defer func() { _ = connection.SetWriteDeadline(time.Time{}) }()
	return send()
}

// failed is err as what the answer ends with.
func (l *listWriter) failed(err error) error {
	if err != nil && l.begun {
		return errors.Join(err, errCutShort)
	}
	return err
}

// errCutShort is that an answer had begun when something failed: all that is left is to cut the connection.
var errCutShort = errors.New("the answer was cut short")
