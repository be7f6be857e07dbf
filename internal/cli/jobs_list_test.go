// SPDX-License-Identifier: GPL-3.0-or-later

package cli

import (
	"testing"
	"time"

	"flamenco.farm/pkg/api"
)

func TestAJobThatIsToBeDeletedSaysSoInTheList(t *testing.T) {
	t.Parallel()
	job := api.Job{Status: "active"}
	if got := jobStatus(job); got != "active" {
		t.Errorf("got %q", got)
	}
	asked := time.Now()
	job.DeleteRequestedAt = &asked
	if got := jobStatus(job); got != "active, deleting" {
		t.Errorf("got %q", got)
	}
}
