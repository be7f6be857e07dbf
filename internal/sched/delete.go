// SPDX-License-Identifier: GPL-3.0-or-later

package sched

import (
	"context"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

// markSlice is how many jobs one transaction marks.
const markSlice = 500

// errDeleting is the answer to those who want something of a job that is to be deleted.
var errDeleting = farm.Errorf(farm.CodeConflict, "the job is being deleted")

// MarkForDeletion takes a job out of work for good: nothing of it is handed out any more, and what runs is canceled.
// Whoever calls it has it deleted. Marking it again changes nothing.
func (s *Service) MarkForDeletion(ctx context.Context, jobID string) error {
	more := false
	err := s.store.Do(ctx, func(tx *store.Tx) error {
		j, err := lockJob(tx, jobID)
		if err != nil {
			return err
		}
		if err := tx.MarkJobForDeletion(j); err != nil {
			return err
		}
		more, err = rest(tx, j, store.ByManager(""))
		return err
	})
	if err != nil || !more {
		return err
	}
	return s.settle(ctx, jobID)
}

// MarkManyForDeletion does the same with a selection of jobs. It returns how many fit it, also those marked before.
func (s *Service) MarkManyForDeletion(ctx context.Context, selection store.Selection) (matched int, err error) {
	defer s.settleLater()
	for after, last := int64(0), false; !last; {
		var n int
		var next int64
		err := s.store.DoAlone(ctx, func(tx *store.Tx) (err error) {
			n, next, err = tx.MarkForDeletion(selection, after, markSlice)
			return err
		})
		if err != nil {
			return matched, err
		}
		matched += n
		after, last = next, next == 0
	}
	return matched, nil
}
