// SPDX-License-Identifier: GPL-3.0-or-later

package auth

import "testing"

func TestEveryOperationThatHasARuleIsClassifiedForMaintenanceAndNoOther(t *testing.T) {
	t.Parallel()
	for id := range rules {
		if _, ok := UpkeepOf(id); !ok {
			t.Errorf("nobody has decided what becomes of %s in a maintenance", id)
		}
	}
	for id := range upkeep {
		if _, ok := RuleOf(id); !ok {
			t.Errorf("%s is classified and has no rule", id)
		}
	}
	if u, ok := UpkeepOf("dropAllTables"); ok || u != Refused {
		t.Errorf("an unknown operation is %q, %v", u, ok)
	}
}
