// SPDX-License-Identifier: GPL-3.0-or-later

package suite

// rows is everything that is measured, in the order of the table.
var rows = []row{
	{name: "cycles", engines: all, both: true, measure: cycles},
	{name: "history", engines: all, both: true, measure: cyclesAfterHistory},
	{name: "managers", engines: []string{postgresName}, measure: twoManagers},
	{name: "claim", engines: all, measure: claims},
	{name: "submit", engines: all, both: true, measure: submission},
	{name: "change", engines: all, measure: wholeJob},
	{name: "list", engines: all, measure: lists},
	{name: "idle", engines: all, measure: idleWorkers},
	{name: "events", engines: all, measure: browsers},
	{name: "poll", engines: all, measure: readers},
	{name: "logs", engines: []string{sqliteName}, measure: taskLogs},
	{name: "shaman", engines: []string{sqliteName}, measure: uploads},
}

var all = []string{sqliteName, postgresName}
