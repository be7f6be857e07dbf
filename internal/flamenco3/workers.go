// SPDX-License-Identifier: GPL-3.0-or-later

package flamenco3

import (
	"cmp"
	"context"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"time"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/store"
)

var tagColumns = []string{"id", "created_at", "updated_at", "uuid", "name", "description"}

func (im *importer) importTags(ctx context.Context) error {
	return im.old.each(ctx, "worker_tags", tagColumns, 500, func(r *row) error {
		n := &im.report.Tags
		n.Found++
		what := r.name("worker tag")
		id, ok := r.id()
		tag := farm.Tag{ID: id, Name: r.short("name", maxName), Description: r.short("description", maxText)}
		switch {
		case !ok:
			r.bad("uuid", "is not an id")
		case tag.Name == "":
			r.bad("name", "is empty")
		}
		if !ok || tag.Name == "" {
			n.LeftOut++
			im.report.problem(what, "left out: %s", r.problems())
			return nil
		}
		present, err := im.presentTag(ctx, tag)
		if err != nil {
			return err
		}
		if present != "" {
			n.Present++
			im.tags[r.key()] = present
			return nil
		}
		created := r.time("created_at")
		problem, err := im.write(ctx, func(tx *store.Tx) error { return tx.ImportTag(tag, cmpTime(created, tx.Now())) })
		if problem != "" || err != nil {
			n.LeftOut++
			im.report.problem(what, "left out: %s", problem)
			return err
		}
		n.Imported++
		im.tags[r.key()] = tag.ID
		im.changed(what, r)
		return nil
	})
}

// presentTag is the id of the tag that the new farm has in place of this one: by its id, else by its name.
func (im *importer) presentTag(ctx context.Context, tag farm.Tag) (id string, err error) {
	present, err := im.known(func(s *store.Store) error {
		found, err := s.Tag(ctx, tag.ID)
		if farm.IsNotExist(err) {
			found, err = s.TagByName(ctx, tag.Name)
		}
		id = found.ID
		return err
	})
	if !present {
		return "", err
	}
	return id, err
}

// changed reports what was not brought over as it was.
func (im *importer) changed(what string, r *row) {
	if text := r.problems(); text != "" {
		im.report.problem(what, "%s", text)
	}
}

// cmpTime is t, or another time if there is none.
func cmpTime(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

var workerColumns = []string{
	"id", "created_at", "updated_at", "uuid", "secret", "name", "address", "platform", "software", "status", "last_seen_at",
	"status_requested", "lazy_status_request", "supported_task_types", "deleted_at", "can_restart",
}

// bcryptForm is a hash as Flamenco 3 stores it; the first group is its cost.
var bcryptForm = regexp.MustCompile(`^\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}$`)

// maxCost is the dearest hash that is accepted: a check at this cost takes half a second, each step more doubles it.
const maxCost = 12

func secretOK(hash string) bool {
	m := bcryptForm.FindStringSubmatch(hash)
	if m == nil {
		return false
	}
	cost, err := strconv.Atoi(m[1])
	return err == nil && cost >= 4 && cost <= maxCost
}

func (im *importer) importWorkers(ctx context.Context) error {
	return im.old.each(ctx, "workers", workerColumns, 500, func(r *row) error { return im.importWorker(ctx, r) })
}

func (im *importer) importWorker(ctx context.Context, r *row) error {
	n := &im.report.Workers
	n.Found++
	what := r.name("worker")
	w, ok := readWorker(r)
	if ok && !im.first(w.ID) {
		r.bad("uuid", "was there before")
		ok = false
	}
	if !ok {
		n.LeftOut++
		im.report.problem(what, "left out: %s", r.problems())
		return nil
	}
	var there bool
	present, err := im.known(func(s *store.Store) (err error) {
		there, err = s.HasWorker(ctx, w.ID)
		return err
	})
	if err != nil {
		return err
	}
	if present && there {
		n.Present++
		im.workers[r.key()] = w.ID
		return nil
	}
	if w.Tags, err = im.tagsOf(ctx, r.key(), what); err != nil {
		return err
	}
	schedule, err := im.scheduleOf(ctx, r.key(), w.ID)
	if err != nil {
		return err
	}
	problem, err := im.write(ctx, func(tx *store.Tx) error {
		w.Created = cmpTime(w.Created, tx.Now())
		w.Updated = cmpTime(w.Updated, w.Created)
		if err := tx.ImportWorker(w); err != nil || schedule == nil || im.to.Schedule == nil {
			return err
		}
		return im.to.Schedule(tx, *schedule)
	})
	if problem != "" || err != nil {
		n.LeftOut++
		im.report.problem(what, "left out: %s", problem)
		return err
	}
	n.Imported++
	im.workers[r.key()] = w.ID
	im.countSchedule(schedule, what)
	im.changed(what, r)
	return nil
}

func readWorker(r *row) (w store.ImportedWorker, ok bool) {
	w.ID, ok = r.id()
	if !ok {
		r.bad("uuid", "is not an id")
		return w, false
	}
	w.Deleted = r.time("deleted_at")
	if w.SecretHash = r.short("secret", 256); !secretOK(w.SecretHash) {
		if w.Deleted.IsZero() {
			r.bad("secret", "is not a hash of a secret")
			return w, false
		}
		w.SecretHash = ""
	}
	w.Name, w.Address = r.short("name", maxName), r.short("address", maxName)
	w.Platform, w.Software = r.short("platform", maxName), r.short("software", maxName)
	w.CanRestart = r.flag("can_restart")
	w.Created, w.Updated, w.LastSeen = r.time("created_at"), r.time("updated_at"), r.time("last_seen_at")
	if w.Status = farm.WorkerStatus(r.text("status")); !w.Status.Valid() {
		r.bad("status", "is unknown, it is taken for offline")
		w.Status = farm.WorkerOffline
	}
	if asked := farm.WorkerStatus(r.text("status_requested")); asked.Valid() {
		w.Requested = &farm.StatusRequest{Status: asked, Lazy: r.flag("lazy_status_request")}
	}
	for t := range strings.SplitSeq(r.short("supported_task_types", maxText), ",") {
		if t = strings.ToLower(strings.TrimSpace(t)); t != "" {
			w.TaskTypes = append(w.TaskTypes, t)
		}
	}
	return w, true
}

func (im *importer) tagsOf(ctx context.Context, worker int64, what string) (tags []farm.Tag, err error) {
	if !im.old.has("worker_tag_membership", "worker_id") {
		return nil, nil
	}
	rows, err := im.old.rows(ctx, "worker_tag_membership", []string{"worker_tag_id"}, "WHERE worker_id = $1 LIMIT 10000", worker)
	for _, r := range rows {
		id, ok := im.tags[r.reference("worker_tag_id")]
		if !ok {
			im.report.problem(what, "it has a tag that is not there")
			continue
		}
		tags = append(tags, farm.Tag{ID: id})
	}
	return tags, err
}

func (im *importer) scheduleOf(ctx context.Context, worker int64, id string) (*SleepSchedule, error) {
	if !im.old.has("sleep_schedules", "worker_id") {
		return nil, nil //nolint:nilnil // most workers have none
	}
	rows, err := im.old.rows(ctx, "sleep_schedules", []string{"is_active", "days_of_week", "start_time", "end_time"}, "WHERE worker_id = $1 LIMIT 1", worker)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	r := rows[0]
	im.report.Schedules.Found++
	s := &SleepSchedule{WorkerID: id, Active: r.flag("is_active"), Days: r.short("days_of_week", 100)}
	s.Start, err = clock(r.text("start_time"))
	var errEnd error
	s.End, errEnd = clock(r.text("end_time"))
	if errors.Join(err, errEnd) != nil || r.problems() != "" || !daysForm.MatchString(s.Days) {
		im.report.Schedules.LeftOut++
		im.report.problem("sleep schedule of worker "+id, "left out: its days or times are not understood")
		return nil, nil //nolint:nilnil // reported
	}
	return s, nil
}

var daysForm = regexp.MustCompile(`^ *((mo|tu|we|th|fr|sa|su) *)*$`)

// clock is a time of day as "HH:MM", "" for none; seconds are dropped.
func clock(text string) (string, error) {
	if text = strings.TrimSpace(text); text == "" {
		return "", nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		t, err = time.Parse("15:04:05", text)
	}
	if err != nil {
		return "", err
	}
	return t.Format("15:04"), nil
}

func (im *importer) countSchedule(s *SleepSchedule, what string) {
	switch {
	case s == nil:
	case im.to.Schedule == nil:
		im.report.Schedules.LeftOut++
		im.report.problem("sleep schedule of "+what, "not imported: this version has no place for it (%s, %s to %s, active %v)",
			cmp.Or(s.Days, "every day"), cmp.Or(s.Start, "00:00"), cmp.Or(s.End, "24:00"), s.Active)
	default:
		im.report.Schedules.Imported++
	}
}
