// SPDX-License-Identifier: GPL-3.0-or-later

package manager

import (
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"flamenco.farm/internal/auth"
)

func TestManagersThatShareALocalStorageHaveOneAdminToken(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"none": "", "one that somebody made": strings.Repeat("0123456789abcdef", 4) + "\n", "something else": "no token\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder, err := os.OpenRoot(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			if before != "" {
				if err := folder.WriteFile(adminTokenFile, []byte(before), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			const managers = 8
			tokens := make([]auth.AdminToken, managers)
			var start sync.WaitGroup
			for i := range tokens {
				run := func() {
					token, publish, err := adminToken(folder, true)
					if err == nil {
						err = publish()
					}
					if err != nil {
						t.Error(err)
					}
					tokens[i] = token
				}
				if before == "no token\n" { // what is no token is replaced, and not by all at the same time
					run()
					continue
				}
				start.Go(run)
			}
			start.Wait()
			text, err := folder.ReadFile(adminTokenFile)
			if err != nil {
				t.Fatal(err)
			}
			for i, token := range tokens {
				if !token.Matches(strings.TrimSpace(string(text))) {
					t.Errorf("Manager %d has another token", i)
				}
			}
			if _, there := auth.ParseAdminToken(strings.TrimSpace(before)); there && string(text) != before {
				t.Error("the token was replaced")
			}
			if info, err := folder.Stat(adminTokenFile); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			if left, err := fs.ReadDir(folder.FS(), "."); err != nil || len(left) != 1 {
				t.Errorf("left are %v, %v", left, err)
			}
		})
	}
}
