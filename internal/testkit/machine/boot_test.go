//go:build linux

package machine

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/internal/testkit/until"
)

// machine is a systemd that runs on a copy of this machine's files, or of another
// root's, in namespaces of its own; only the network is shared.
type machine struct {
	t      *testing.T
	leader int // its process 1, as seen from here
}

// boot mounts a root that takes all changes in memory, and starts systemd on it with
// a target that is nearly empty: the services of this machine are not started.
const boot = `set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$WORK"
mkdir "$WORK/upper" "$WORK/work" "$WORK/root"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$WORK/upper,workdir=$WORK/work" "$WORK/root"
cd "$WORK/root"
rm -rf etc/systemd/system/*.wants etc/systemd/system/*.requires etc/machine-id etc/resolv.conf var/lib/hookswitch var/lib/private/hookswitch etc/hookswitch
: >etc/machine-id
printf '[Unit]\nRequires=basic.target\nAfter=basic.target\n' >etc/systemd/system/test.target
cp "$DEB" root/hookswitch.deb
exec systemd-nspawn --quiet --register=no --keep-unit --machine="$NAME" --directory="$WORK/root" --boot systemd.unit=test.target
`

// startMachine boots a machine with a package at /root/hookswitch.deb.
func startMachine(t *testing.T, deb string) *machine {
	t.Helper()
	lower := os.Getenv("HOOKSWITCH_MACHINE_ROOT")
	if lower == "" {
		lower = "/"
	}
	log := new(output.Buffer)
	cmd := exec.Command("unshare", "--mount", "sh", "-c", boot)
	cmd.Env = append(os.Environ(), "WORK="+t.TempDir(), "LOWER="+lower, "DEB="+deb, "NAME=hookswitch-test-"+strconv.Itoa(os.Getpid()))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if m.leader != 0 { // all that runs in there ends with it
			_ = syscall.Kill(m.leader, syscall.SIGKILL)
		}
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("the machine:\n%s", log)
		}
	})
	m.until("systemd", func() error {
		select {
		case err := <-ended:
			ended <- err
			m.t.Fatalf("no machine: %v", err)
		default:
		}
		if err := m.findLeader(cmd.Process.Pid); err != nil {
			return err
		}
		_, err := m.run("systemctl", "is-active", "test.target")
		return err
	})
	return m
}

// findLeader finds process 1 of the machine: the child of systemd-nspawn, which is
// in another namespace of processes.
func (m *machine) findLeader(nspawn int) error {
	if m.leader != 0 {
		return nil
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", nspawn))
	if err != nil {
		return err
	}
	for _, text := range strings.Fields(string(children)) {
		name, err := os.ReadFile(filepath.Join("/proc", text, "comm"))
		if err != nil || strings.TrimSpace(string(name)) != "systemd" {
			continue
		}
		m.leader, err = strconv.Atoi(text)
		return err
	}
	return errors.New("process 1 is not there yet")
}

// run runs a command in the machine, and returns what it prints.
func (m *machine) run(command ...string) (string, error) {
	args := append([]string{"--target", strconv.Itoa(m.leader), "--mount", "--uts", "--ipc", "--pid", "--root", "--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, command...)
	var out bytes.Buffer
	cmd := exec.Command("nsenter", args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// must is run for a command that has to succeed.
func (m *machine) must(command ...string) string {
	m.t.Helper()
	out, err := m.run(command...)
	if err != nil {
		m.t.Fatalf("%q: %v\n%s\n%s", command, err, out, m.journal())
	}
	return out
}

// write replaces a file, which keeps its owner and mode.
func (m *machine) write(path, text string) {
	m.t.Helper()
	m.must("sh", "-c", `printf '%s' "$1" >"$0"`, path, text)
}

// property returns a property of the service.
func (m *machine) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.must("systemctl", "show", "--value", "--property="+name, "hookswitch"))
}

func (m *machine) journal() string {
	out, _ := m.run("journalctl", "--no-pager", "--lines=40", "--output=cat", "--unit=hookswitch") // for a failed test
	return out
}

func (m *machine) until(what string, done func() error) {
	m.t.Helper()
	until.Nil(m.t, patience, what, done)
}
