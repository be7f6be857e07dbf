// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"

	"github.com/google/uuid"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store/query"
)

// Tags lists all tags by name.
func (s *Store) Tags(ctx context.Context) ([]farm.Tag, error) {
	rows, err := s.reads.Tags(ctx)
	tags := make([]farm.Tag, len(rows))
	for i, r := range rows {
		tags[i] = farmTag(r)
	}
	return tags, wrap(err)
}

// Tag is the tag with an id.
func (s *Store) Tag(ctx context.Context, id string) (farm.Tag, error) {
	row, err := s.reads.TagByUUID(ctx, id)
	return farmTag(row), wrap(err)
}

// TagByName is the tag with a name.
func (s *Store) TagByName(ctx context.Context, name string) (farm.Tag, error) {
	row, err := s.reads.TagByName(ctx, name)
	return farmTag(row), wrap(err)
}

// CreateTag stores a tag and gives it an id unless it has one.
func (s *Store) CreateTag(ctx context.Context, t farm.Tag) (farm.Tag, error) {
	if t.ID == "" {
		t.ID = uuid.NewString()
	}
	err := s.Do(ctx, func(tx *Tx) error {
		tx.tagChanged(t, false)
		_, err := tx.q.InsertTag(tx.ctx, query.InsertTagParams{
			Uuid: t.ID, Name: t.Name, Description: t.Description, CreatedAt: tx.stamp(),
		})
		return nameTaken(t.Name, err)
	})
	return t, err
}

// UpdateTag changes the name and description of a tag.
func (s *Store) UpdateTag(ctx context.Context, t farm.Tag) error {
	return s.Do(ctx, func(tx *Tx) error {
		tx.tagChanged(t, false)
		n, err := tx.q.UpdateTag(tx.ctx, query.UpdateTagParams{Uuid: t.ID, Name: t.Name, Description: t.Description})
		return existing(n, nameTaken(t.Name, err))
	})
}

// DeleteTag removes a tag from the farm, its workers and its jobs; jobs that had it then run on any worker.
func (tx *Tx) DeleteTag(id string) error {
	row, err := tx.q.TagByUUID(tx.ctx, id)
	if err != nil {
		return wrap(err)
	}
	jobs, err := tx.q.LiveJobsWithTag(tx.ctx, nullID(row.ID))
	if err != nil {
		return err
	}
	for _, uuid := range jobs {
		if err := tx.setTagOf(uuid, farm.Tag{}); err != nil {
			return err
		}
	}
	tx.tagChanged(farmTag(row), true)
	n, err := tx.q.DeleteTag(tx.ctx, id)
	return existing(n, err)
}

func (tx *Tx) setTagOf(jobID string, tag farm.Tag) error {
	job, err := tx.Job(jobID)
	if err != nil {
		return err
	}
	if err := tx.SetTag(job, tag.ID); err != nil {
		return err
	}
	return tx.SaveJob(job, ByManager("its tag was deleted"))
}

func nameTaken(name string, err error) error {
	if isUnique(err) {
		return farm.Errorf(farm.CodeConflict, "there is a tag %q already", name)
	}
	return err
}

func existing(rows int64, err error) error {
	if err == nil && rows == 0 {
		return farm.ErrNotExist
	}
	return err
}

func farmTag(row query.Tag) farm.Tag {
	return farm.Tag{ID: row.Uuid, Name: row.Name, Description: row.Description}
}
