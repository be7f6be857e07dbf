// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"flamenco.farm/internal/farm"
)

// writeTaskSummary writes what encoding/json makes of apiTaskSummary. Tasks are the lists that are long, and encoding/json
// takes as long for a task as the database.
func writeTaskSummary(text *bytes.Buffer, t farm.Task) error {
	worker := deref(t.Worker)
	b := text.AvailableBuffer()
	b = appendString(append(b, `{"id":`...), t.ID)
	b = strconv.AppendInt(append(b, `,"index_in_job":`...), int64(t.IndexInJob), 10)
	b = appendString(append(b, `,"name":`...), t.Name)
	b = strconv.AppendInt(append(b, `,"priority":`...), int64(t.Priority), 10)
	b = appendString(append(b, `,"status":`...), string(t.Status))
	b = strconv.AppendInt(append(b, `,"steps_completed":`...), int64(t.StepsCompleted), 10)
	b = strconv.AppendInt(append(b, `,"steps_total":`...), int64(t.StepsTotal), 10)
	b = appendString(append(b, `,"task_type":`...), t.Type)
	b = t.Updated.UTC().AppendFormat(append(b, `,"updated":"`...), time.RFC3339Nano)
	b = appendString(append(b, `","worker":{"address":`...), worker.Address)
	b = appendString(append(b, `,"id":`...), worker.ID)
	b = appendString(append(b, `,"name":`...), worker.Name)
	_, err := text.Write(append(b, "}}"...))
	return err
}

// appendString appends a string as JSON. Those with a character that JSON, or encoding/json for the sake of HTML, writes
// in another way are left to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) //nolint:errchkjson // of a string it cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
