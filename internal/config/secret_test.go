// SPDX-License-Identifier: GPL-3.0-or-later

package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestASecretIsMaskedAndItsMaskLeavesItAsItIs(t *testing.T) {
	t.Parallel()
	all := []setting{
		secret(text("account.password", "", func(c *Config) *string { return &c.ManagerName }, address)),
		boolean("account.on", "", func(c *Config) *bool { return &c.FirstRun }),
	}
	shown, err := json.Marshal(document(all, Config{ManagerName: "hunter2", FirstRun: true}))
	if err != nil || !strings.Contains(string(shown), `"account":{"on":true,"password":"********"}`) {
		t.Errorf("%s, %v", shown, err)
	}
	if shown, err = json.Marshal(document(all, Config{})); err != nil || !strings.Contains(string(shown), `"account":{"on":false,"password":""}`) {
		t.Errorf("%s, %v", shown, err)
	}
	for given, want := range map[string]string{Mask: "hunter2", "": "", "new": "new"} {
		node, err := nodeOf(map[string]any{"account": map[string]any{"password": given}})
		if err != nil {
			t.Fatal(err)
		}
		unmask(all, node, Config{ManagerName: "hunter2"})
		if got := valueOf(valueOf(node, "account"), "password").Value; got != want {
			t.Errorf("%q became %q, want %q", given, got, want)
		}
	}
	if err := all[0].parse(&Config{}, "hunter2"); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error is %v", err)
	}
}
