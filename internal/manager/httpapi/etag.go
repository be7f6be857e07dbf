// SPDX-License-Identifier: GPL-3.0-or-later

package httpapi

import (
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/sched"
	"flamenco.farm/pkg/api"
)

// maxWait is the longest that a client may ask to be kept waiting for a change.
const maxWait = 60 * time.Second

// etag makes an entity tag of the numbers that change with what it stands for.
func etag(numbers ...int64) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.FormatInt(n, 10)
	}
	return `"` + strings.Join(texts, ".") + `"`
}

// matches is whether a list of entity tags, or "*", covers tag. Weak tags count as strong ones: ours never lie. So do those
// of compressed answers: they change with the same numbers.
func matches(list *string, tag string) bool {
	if list == nil {
		return false
	}
	for one := range strings.SplitSeq(*list, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		one = strings.Replace(one, compressedSuffix+`"`, `"`, 1)
		if one == "*" || one == tag {
			return true
		}
	}
	return false
}

// checkIfMatch refuses a change of something that has changed since the client saw it. What it returns makes the change
// itself look again, in its transaction.
func checkIfMatch(wanted *api.IfMatch, tag string, revision int64) ([]sched.AtRevision, error) {
	switch {
	case wanted == nil:
		return nil, nil
	case matches(wanted, tag):
		return []sched.AtRevision{sched.AtRevision(revision)}, nil
	}
	return nil, farm.Errorf(farm.CodePrecondition, "it has changed meanwhile: its entity tag is %s, not %s", tag, *wanted)
}

// preferredWait reads wait=N of a Prefer header; 0 if there is none.
func preferredWait(header *api.Prefer) time.Duration {
	for preference := range strings.SplitSeq(deref(header), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		seconds, err := strconv.Atoi(strings.TrimSpace(value))
		if strings.EqualFold(strings.TrimSpace(name), "wait") && err == nil && seconds > 0 {
			return min(time.Duration(min(seconds, 3600))*time.Second, maxWait)
		}
	}
	return 0
}

func notModified(tag string) api.NotModifiedResponse {
	return api.NotModifiedResponse{Headers: api.NotModifiedResponseHeaders{ETag: &tag}}
}
