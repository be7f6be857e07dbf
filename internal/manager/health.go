// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"context"
	"errors"
	"fmt"
	"os"

	"flamenco.farm/internal/farm"
	"flamenco.farm/internal/manager/httpapi"
	"flamenco.farm/internal/store"
)

// probeFile is written and removed again to see whether the local storage can be written.
const probeFile = ".ready"

// checks are what a Manager needs to be of use. The shared storage is none of it: without that the Manager still hands out
// tasks and takes reports, and every other Manager would miss it as well.
func checks(db *store.Store, files *os.Root) []httpapi.Check {
	return []httpapi.Check{
		{Name: "database", Run: db.CheckReads},
		{Name: "database writes", Run: db.CheckWrites},
		{Name: "local storage", Run: func(context.Context) error { return probe(files) }},
	}
}

func probe(files *os.Root) error {
	name := fmt.Sprintf("%s-%d", probeFile, os.Getpid()) // several Managers may share the folder
	err := files.WriteFile(name, []byte("x"), 0o600)
	if removed := files.Remove(name); err == nil {
		err = removed
	}
	if err != nil {
		return errors.Join(farm.Errorf(farm.CodeStorage, "it cannot be written"), err)
	}
	return nil
}
