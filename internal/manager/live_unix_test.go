// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package manager_test

import (
	"os"
	"strings"
	"syscall"
	"testing"
)

func TestAHangUpMakesTheManagerReadItsConfigurationAgain(t *testing.T) {
	t.Parallel()
	f := startFiled(t, "manager_name: Before\n")
	for _, c := range []struct{ text, message, name string }{
		{"manager_name: After\n", "the configuration was read again", "After"},
		{"manager_name: [\n", "the configuration cannot be used, the settings stay as they are", "After"},
	} {
		if err := os.WriteFile(f.path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for message := range f.messages.messages {
			if message == c.message {
				break
			}
		}
		if text := f.want(200, "GET", "version", ""); !strings.Contains(text, `"name":"`+c.name+`"`) {
			t.Errorf("got %s", text)
		}
	}
	if err := f.stop(); err != nil {
		t.Error(err)
	}
}
