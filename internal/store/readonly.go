// SPDX-License-Identifier: GPL-3.0-or-later

package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"flamenco.farm/internal/store/query"
)

var errReadOnly = errors.New("the database is open for reading only")

// OpenForReading opens a database to read only, whether a Manager has it open or not. Its schema has to be up to date.
func OpenForReading(ctx context.Context, opts Options) (*Store, error) {
	opts.BusyTimeout = 5 * time.Second
	s := &Store{log: opts.Log, opts: opts}
	s.close = sync.OnceValue(s.closePools)
	var err error
	if IsPostgres(opts.Database) {
		s.read, err = openPostgres(opts, looker)
		s.clock = &clock{}
	} else {
		s.read, err = openLooker(ctx, opts.Database)
	}
	if err != nil {
		return nil, err
	}
	if err = checkSchema(ctx, s.read, opts); err == nil {
		s.reads, err = query.Prepare(ctx, s.read)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %s: %w", NameOf(opts.Database), wrap(err)), s.Close())
	}
	return s, nil
}
