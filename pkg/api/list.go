// SPDX-License-Identifier: GPL-3.0-or-later

package api

import "encoding/json"

// List is a JSON array that has to be there: a nil List is written as [], never as null, which strict clients refuse.
// Any []T can be assigned to it.
type List[T any] []T

// MarshalJSON writes the elements as a JSON array.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Object is a JSON object that has to be there: a nil Object is written as {}, never as null. Any map[string]any can be
// assigned to it.
type Object map[string]any

// MarshalJSON writes the members as a JSON object.
func (o Object) MarshalJSON() ([]byte, error) {
	if o == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]any(o))
}
