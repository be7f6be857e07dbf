// SPDX-License-Identifier: GPL-3.0-or-later

// Package events holds tests of what a farm tells: to the Socket.IO clients of npm that web apps use, and to an MQTT
// broker. They need Node.js and mosquitto, which `make with-deps` installs.
package events
