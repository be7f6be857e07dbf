// SPDX-License-Identifier: GPL-3.0-or-later

package store

import "database/sql"

// postgresClaims leaves it to each connection to parse a statement once.
type postgresClaims struct{}

// jobsToClaim walks without a lock: what it finds is looked at again when the job is locked.
func (postgresClaims) jobsToClaim(tx *Tx, args ...any) (*sql.Rows, error) {
	return tx.db.QueryContext(tx.ctx, jobsToClaimSQLite, args...)
}
