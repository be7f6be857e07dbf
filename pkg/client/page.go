// SPDX-License-Identifier: GPL-3.0-or-later

package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"flamenco.farm/pkg/api"
)

// defaultPageSize is how many entries one request of a list asks for.
const defaultPageSize = 200

// List selects and sorts the entries of a list. A Manager of Flamenco 3 ignores all of it and answers with everything.
type List struct {
	Status   []string // only entries with one of these statuses
	Search   string   // only entries whose name contains this
	OrderBy  []string // fields, "-" in front for descending; the Manager's own order if empty
	PageSize int      // entries per request, 200 if 0
}

// editor adds the selection to the query of a generated request.
func (l List) editor(after string) api.RequestEditorFn {
	return func(_ context.Context, req *http.Request) error {
		size := l.PageSize
		if size == 0 {
			size = defaultPageSize
		}
		query := "limit=" + strconv.Itoa(size)
		for name, values := range map[string][]string{
			"after": {after}, "search": {l.Search}, "order_by": l.OrderBy, "status_in": l.Status,
		} {
			if joined := joinEscaped(values); joined != "" {
				query += "&" + name + "=" + joined
			}
		}
		req.URL.RawQuery = query
		return nil
	}
}

// joinEscaped writes a list as the API reads it: the commas between the values are not escaped, those within are.
func joinEscaped(values []string) string {
	escaped := make([]string, len(values))
	for i, value := range values {
		escaped[i] = url.QueryEscape(value)
	}
	return strings.Join(escaped, ",")
}

// pages yields the entries of a list, and asks for the next page only when the one before it is used up.
// After an error nothing more is yielded.
func pages[Page, Entry any](fetch func(after string) (answer[Page], error), entries func(Page) []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var none Entry
		for after := ""; ; {
			page, err := fetch(after)
			if err != nil {
				yield(none, err)
				return
			}
			for _, entry := range entries(page.body) {
				if !yield(entry, nil) {
					return
				}
			}
			if page.next == "" || page.next == after {
				return
			}
			after = page.next
		}
	}
}

// Collect gathers what an iterator of this package yields, up to the first error.
func Collect[Entry any](entries iter.Seq2[Entry, error]) ([]Entry, error) {
	var all []Entry
	for entry, err := range entries {
		if err != nil {
			return all, err
		}
		all = append(all, entry)
	}
	return all, nil
}
