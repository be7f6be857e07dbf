// SPDX-License-Identifier: GPL-3.0-or-later

package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// The packets of Engine.IO: the first character of each.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
)

// The packets of Socket.IO, each of them inside a message of Engine.IO. Binary ones are not understood: no event has them.
const (
	socketConnect    = '0'
	socketDisconnect = '1'
	socketEvent      = '2'
	socketAck        = '3'
	socketError      = '4'
)

// probe is what both sides say over a new transport before they change over to it.
const probe = "probe"

var errPacket = errors.New("this is no packet of Socket.IO")

// packet is a packet of Socket.IO.
type packet struct {
	kind      byte
	namespace string // "/" unless it names another
	ack       string // digits, "" = none wanted
	data      []byte // JSON, may be empty
}

// parsePacket reads <kind>[<namespace>,][<ack>][<JSON>].
func parsePacket(text []byte) (packet, error) {
	if len(text) == 0 || text[0] < socketConnect || text[0] > socketError {
		return packet{}, errPacket
	}
	p := packet{kind: text[0], namespace: "/"}
	text = text[1:]
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte(","))
		name, _, _ = bytes.Cut(name, []byte("?"))
		p.namespace, text = string(name), rest
	}
	digits := 0
	for digits < len(text) && text[digits] >= '0' && text[digits] <= '9' {
		digits++
	}
	if digits > 18 {
		return packet{}, errPacket
	}
	p.ack, p.data = string(text[:digits]), text[digits:]
	if len(p.data) > 0 && !json.Valid(p.data) {
		return packet{}, errPacket
	}
	return p, nil
}

// parseEvent reads ["name", payload…].
func parseEvent(data []byte) (name string, payload json.RawMessage, err error) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil || len(list) == 0 || json.Unmarshal(list[0], &name) != nil {
		return "", nil, errPacket
	}
	if len(list) > 1 {
		payload = list[1]
	}
	return name, payload, nil
}

// eventPacket is an event as it goes to clients of either version.
func eventPacket(name string, data []byte) []byte {
	p := make([]byte, 0, len(name)+len(data)+8)
	p = append(p, engineMessage, socketEvent, '[')
	p = strconv.AppendQuote(p, name) // names are plain ASCII
	p = append(p, ',')
	p = append(p, data...)
	return append(p, ']')
}

func ackPacket(ack, answer string) []byte {
	text, err := json.Marshal([]string{answer})
	if err != nil {
		panic("socketio: a text cannot be written as JSON: " + err.Error())
	}
	return append([]byte{engineMessage, socketAck}, ack+string(text)...)
}

// recordSeparator stands between the packets of a payload of Engine.IO 4.
const recordSeparator = '\x1e'

// encodePayload joins packets for a client that polls. Engine.IO 3 puts before each its length in UTF-16 units.
func encodePayload(protocol int, packets [][]byte) []byte {
	if protocol == 4 {
		return bytes.Join(packets, []byte{recordSeparator})
	}
	var all []byte
	for _, p := range packets {
		all = strconv.AppendInt(all, int64(utf16Length(p)), 10)
		all = append(all, ':')
		all = append(all, p...)
	}
	return all
}

// decodePayload takes apart what a client that polls has sent.
func decodePayload(protocol int, payload []byte) ([][]byte, error) {
	if protocol == 4 {
		return bytes.Split(payload, []byte{recordSeparator}), nil
	}
	var packets [][]byte
	for len(payload) > 0 {
		digits, rest, ok := bytes.Cut(payload, []byte(":"))
		units, err := strconv.Atoi(string(digits))
		if !ok || err != nil || units < 0 {
			return nil, errPacket
		}
		n, err := utf16Prefix(rest, units)
		if err != nil {
			return nil, err
		}
		packets, payload = append(packets, rest[:n]), rest[n:]
	}
	return packets, nil
}

func utf16Length(text []byte) (units int) {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		units += max(1, utf16.RuneLen(r))
		text = text[size:]
	}
	return units
}

// utf16Prefix is how many bytes so many UTF-16 units take.
func utf16Prefix(text []byte, units int) (n int, err error) {
	for units > 0 {
		if n == len(text) {
			return 0, errPacket
		}
		r, size := utf8.DecodeRune(text[n:])
		units -= max(1, utf16.RuneLen(r))
		n += size
	}
	return n, nil
}
