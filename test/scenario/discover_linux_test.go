// SPDX-License-Identifier: GPL-3.0-or-later

package scenario

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"flamenco.farm/internal/testkit/program"
)

// twoNetworks runs in a network namespace of its own, with the folder of the programs and one of the test as arguments.
// It starts a Manager in another one, joins the two by a cable, and then is a machine on which nobody has said where the
// Manager is. That pipes are opened by both sides makes the steps wait for each other.
const twoNetworks = `set -eu
bin=$1 dir=$2
cd "$dir"
mkfifo pid go
unshare -n sh -c 'echo $$ > pid; read word < go; exec "$0" 2> manager.log' "$bin/flamenco-manager" &
manager=$!
trap 'kill $manager 2>/dev/null; wait $manager || true' EXIT
read inside < pid
ip link set lo up
ip link add b0 type veth peer name a0
ip addr add 10.77.0.2/24 dev b0
ip link set b0 up
ip link set a0 netns $inside
nsenter -t $inside -n sh -c 'ip link set lo up; ip addr add 10.77.0.1/24 dev a0; ip link set a0 up'
echo go > go
"$bin/flamenco-worker" -find-manager
FLAMENCO_WORKER_NAME=finder "$bin/flamenco-worker" -register
"$bin/flamenco" workers list --json > workers.json
kill $manager
wait $manager
trap - EXIT
`

func TestAManagerIsFoundFromAnotherMachineByThoseWhoWereToldNothing(t *testing.T) {
	t.Parallel()
	bin, dir := program.Build(t), t.TempDir()
	writeFile(t, filepath.Join(dir, "flamenco-manager.yaml"), fmt.Sprintf(
		"_meta: {version: 3}\nlisten: \":8123\"\nlocal_manager_storage_path: %q\nshared_storage_path: %q\nshaman: {enabled: false}\n",
		filepath.Join(dir, "local"), filepath.Join(dir, "shared")))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", twoNetworks, "sh", bin, dir)
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "FLAMENCO_HOME="+filepath.Join(dir, "worker"), "FLAMENCO_MANAGER=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	output, err := cmd.CombinedOutput()
	listed, _ := os.ReadFile(filepath.Join(dir, "workers.json"))
	found := slices.Contains(strings.Split(string(output), "\n"), "http://10.77.0.1:8123")
	if err != nil || !found || !strings.Contains(string(listed), `"name":"finder"`) {
		log, _ := os.ReadFile(filepath.Join(dir, "manager.log"))
		t.Errorf("in two networks (which need the program ip and the right to make them): %v\n%s\nThe Manager says:\n%s", err, output, log)
	}
}
