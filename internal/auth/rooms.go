// SPDX-License-Identifier: GPL-3.0-or-later

package auth

import (
	"context"
	"strings"

	"flamenco.farm/internal/farm"
)

// roomRules holds every room of events; {id} stands for one job or task. A test keeps them equal to the rooms that are.
var roomRules = map[string]Rule{
	"/lifecycle":               Open,
	"/status":                  Open,
	"/chat":                    Open,
	"/jobs":                    Open,
	"/jobs/{id}":               Open,
	"/jobs/{id}/last-rendered": Open,
	"/last-rendered":           Open,
	"/tasklog/{id}":            Open,
	"/workers":                 Open,
	"/workertags":              Open,
}

// RoomRule is the rule of a room of events; false if it has none, and then nobody may be in it.
func RoomRule(room string) (Rule, bool) {
	parts := strings.Split(room, "/")
	if len(parts) > 2 && parts[2] != "" {
		parts[2] = "{id}"
	}
	rule, ok := roomRules[strings.Join(parts, "/")]
	return rule, ok
}

// Rooms is every room that has a rule, in no order.
func Rooms() []string {
	names := make([]string, 0, len(roomRules))
	for name := range roomRules {
		names = append(names, name)
	}
	return names
}

// MayJoin says whether the caller may hear what is told in a room: nil, or an error of farm.CodeForbidden.
func MayJoin(ctx context.Context, room string) error {
	rule, ok := RoomRule(room)
	if ok && (rule == Open || Worker(ctx) != "") {
		return nil
	}
	return farm.Errorf(farm.CodeForbidden, "nobody may be in the room %.100q", room)
}
