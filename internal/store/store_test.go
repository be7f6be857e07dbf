// SPDX-License-Identifier: GPL-3.0-or-later

package store_test

import (
	"os"
	"testing"

	"flamenco.farm/internal/store/storetest"
	"flamenco.farm/internal/testkit/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m.Run)) }

func TestAStoreOnSQLiteConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.SQLite)
}

func TestAStoreOnPostgreSQLConforms(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Postgres)
}

func TestAFarmMovesBetweenSQLiteAndPostgreSQL(t *testing.T) {
	t.Parallel()
	storetest.RunMoves(t, storetest.SQLite, storetest.Postgres)
}

func TestTextsThatPostgreSQLDoesNotHaveAreReplacedInAnImport(t *testing.T) {
	t.Parallel()
	storetest.RunMovesOddTexts(t, storetest.SQLite, storetest.Postgres)
}
