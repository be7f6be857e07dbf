// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

// Count is how many clients are connected.
func (s *Server) Count() int { return len(s.all()) }

// What the protocol is made of, for tests with outside bytes.
var (
	EncodePayload = encodePayload
	DecodePayload = decodePayload
)

// ParseMessage reads a packet and, if it is one, the event in it.
func ParseMessage(text []byte) error {
	p, err := parsePacket(text)
	if err == nil && p.kind == socketEvent {
		_, _, err = parseEvent(p.data)
	}
	return err
}
