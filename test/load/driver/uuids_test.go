// SPDX-License-Identifier: GPL-3.0-or-later

package driver

import "encoding/json"

// uuids are the ids of the tasks in an answer.
func uuids(text []byte) (ids []string) {
	var list struct{ Tasks []struct{ ID string } }
	if json.Unmarshal(text, &list) != nil {
		return nil
	}
	for _, t := range list.Tasks {
		ids = append(ids, t.ID)
	}
	return ids
}
