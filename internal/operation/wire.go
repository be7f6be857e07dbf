// SPDX-License-Identifier: GPL-3.0-or-later

package operation

import (
	"bytes"
	"encoding/json"
	"errors"

	"flamenco.farm/internal/farm"
)

// The Manager sends the process of an operation one order, a line of JSON on its standard input, which it then keeps open:
// its end means that the Manager is gone. The process answers with messages, one a line, on its standard output.
type order struct {
	Setup     json.RawMessage
	ID        string
	Run       int64
	Kind      string
	Params    json.RawMessage
	LockNames []string
}

// message is one of its fields.
type message struct {
	Progress *progress     `json:",omitempty"`
	Changes  []farm.Change `json:",omitempty"` // what it committed
	Result   *result       `json:",omitempty"` // the last message
}

type progress struct {
	Activity    string
	Done, Total int64
}

// result says how it ended. Failure is for people; "" = all went well.
type result struct {
	Failure string
}

const (
	maxOrder   = 1 << 20 // bytes, the setup included
	maxMessage = 1 << 20 // bytes of one line
	maxChanges = 500     // in one message
)

var errNonsense = errors.New("the process of the operation sent what is no message")

// messages is a writer that hands on each line written to it as a message.
type messages struct {
	line bytes.Buffer
	each func(message)
}

// Write takes the next bytes of the stream.
func (m *messages) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte("\n"))
		p = rest
		if m.line.Len()+len(part) > maxMessage {
			return 0, errNonsense
		}
		m.line.Write(part)
		if !ended {
			break
		}
		var decoded message
		if err := json.Unmarshal(m.line.Bytes(), &decoded); err != nil {
			return 0, errNonsense
		}
		m.line.Reset()
		m.each(decoded)
	}
	return n, nil
}
