// SPDX-License-Identifier: GPL-3.0-or-later

//go:build unix

package blender_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flamenco.farm/internal/blender"
)

// TestMain lets links to the test program be the programs that are tried: what one does is in its name.
func TestMain(m *testing.M) {
	self := os.Args[0]
	switch filepath.Base(self) {
	case "blender", "my blender":
		fmt.Println("warning: something first")
		fmt.Println("Blender 4.2.1 LTS")
		fmt.Println("\tbuild date: today")
		os.Exit(0)
	case "failing":
		fmt.Println("Blender 4.2.1 LTS")
		os.Exit(3)
	case "other":
		fmt.Println("GNU Image Manipulation Program")
		os.Exit(0)
	case "talking":
		chunk := strings.Repeat("x", 1<<16)
		for range 100 {
			fmt.Println(chunk)
		}
		fmt.Println("Blender 4.2.1 LTS")
		os.Exit(0)
	case "leaking":
		fmt.Println("Blender " + strings.Join(os.Environ(), " "))
		os.Exit(0)
	case "hanging", "leaving":
		dial(filepath.Dir(self)) // its end is seen when the connection ends
		child := exec.Command(filepath.Join(filepath.Dir(self), "child"))
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			os.Exit(4)
		}
		fmt.Println("Blender 4.2.1 LTS")
		if filepath.Base(self) == "hanging" {
			select {}
		}
		os.Exit(0)
	case "child":
		dial(filepath.Dir(self))
		_, _ = os.Stdin.Read(make([]byte, 1))
		select {}
	}
	os.Exit(m.Run())
}

// dial connects to whom the folder names, and does not return before that one has answered.
func dial(folder string) {
	address, err := os.ReadFile(filepath.Join(folder, "address"))
	if err != nil {
		os.Exit(5)
	}
	conn, err := net.Dial("tcp", string(address))
	if err != nil {
		os.Exit(6)
	}
	_, _ = conn.Read(make([]byte, 1))
	kept = append(kept, conn)
}

var kept []net.Conn // so that no connection is closed before the process ends

// programs makes a folder with links to the test program.
func programs(t *testing.T, names ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(self, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestABlenderSaysItsVersion(t *testing.T) {
	t.Parallel()
	folder := programs(t, "blender", "my blender", "failing", "other", "talking", "leaking")
	if err := os.WriteFile(filepath.Join(folder, "text"), []byte("Blender 4"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		input  string
		usable bool
		cause  string
	}{
		{filepath.Join(folder, "blender"), true, "Blender 4.2.1 LTS"},
		{folder, true, "Blender 4.2.1 LTS"},
		{"  \"" + filepath.Join(folder, "my blender") + "\" ", true, "Blender 4.2.1 LTS"},
		{filepath.Join(folder, "failing"), false, "exit status 3"},
		{filepath.Join(folder, "other"), false, "not Blender"},
		{filepath.Join(folder, "talking"), false, "not Blender"},
		{filepath.Join(folder, "text"), false, "not a program"},
		{filepath.Join(folder, "missing"), false, "no such file"},
		{"no-such-blender", false, "$PATH"},
		{"a\x00b", false, ""},
	} {
		found := blender.Try(t.Context(), blender.Resolve(c.input))
		if found.Usable != c.usable || !strings.Contains(found.Cause, c.cause) || found.Input != c.input || found.Cause == "" {
			t.Errorf("%q: got %+v, want %v because of %q", c.input, found, c.usable, c.cause)
		}
	}
}

func TestAProgramFromThePathIsKnownByItsName(t *testing.T) {
	folder := programs(t, "blender")
	t.Setenv("PATH", folder)
	want := filepath.Join(folder, "blender")
	if found := blender.Resolve("blender"); found.Source != blender.OnPath || found.Path != want || found.Cause != "" {
		t.Errorf("got %+v", found)
	}
	all := blender.Candidates()
	if len(all) == 0 || all[len(all)-1] != (blender.Found{Input: "blender", Path: want, Source: blender.OnPath}) {
		t.Errorf("got %+v", all)
	}
	if found := blender.Resolve(""); found.Path == "" || found.Input != "" || found.Cause != "" {
		t.Errorf("any: %+v", found)
	}
	t.Setenv("PATH", t.TempDir())
	if blender.Installed() == "" {
		if found := blender.Try(t.Context(), blender.Resolve("")); found.Usable || found.Source != blender.Default || !strings.Contains(found.Cause, "no Blender") {
			t.Errorf("none: %+v", found)
		}
	}
}

func TestAProgramThatIsTriedGetsNoSecrets(t *testing.T) {
	t.Setenv("FLAMENCO_MANAGER_MQTT__CLIENT__PASSWORD", "hunter2")
	folder := programs(t, "leaking")
	found := blender.Try(t.Context(), blender.Resolve(filepath.Join(folder, "leaking")))
	if strings.Contains(found.Cause, "FLAMENCO") || !found.Usable {
		t.Errorf("got %+v", found)
	}
}

// TestNothingOfAProgramThatWasTriedIsLeft looks at the connections of a program and its child, which end with them.
func TestNothingOfAProgramThatWasTriedIsLeft(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		usable bool
	}{{"hanging", false}, {"leaving", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			folder := programs(t, c.name, "child")
			listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a listener of the test
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			if err := os.WriteFile(filepath.Join(folder, "address"), []byte(listener.Addr().String()), 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result := make(chan blender.Found, 1)
			go func() { result <- blender.Try(ctx, blender.Resolve(filepath.Join(folder, c.name))) }()
			var conns []net.Conn
			for range 2 { // the program, then its child
				conn, err := listener.Accept()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				if _, err := conn.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				conns = append(conns, conn)
			}
			if c.name == "hanging" {
				cancel()
			}
			found := <-result
			if found.Usable != c.usable {
				t.Errorf("got %+v", found)
			}
			for _, conn := range conns {
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.Copy(io.Discard, conn); os.IsTimeout(err) {
					t.Error("something is still running")
				}
			}
		})
	}
}
