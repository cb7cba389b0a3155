//go:build linux

// Package machine installs the package on a machine with a real systemd, as an
// operator does, and lives with it: reload, watchdog, stop and restart under load,
// upgrade.
//
//	make deploy
//
// The machine is a copy of this one's files in systemd-nspawn, which takes root; all
// that is written goes to memory. HOOKSWITCH_MACHINE_ROOT names another root, such
// as one that debootstrap has made, for another systemd.
package machine

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/port"
	"github.com/hookswitch/hookswitch/internal/testkit/telnyx"
)

// patience bounds every wait. It is only spent on failure.
const patience = 90 * time.Second

const settings = "/etc/hookswitch/hookswitch.env"

func TestService(t *testing.T) {
	deb := os.Getenv("HOOKSWITCH_DEB")
	if deb == "" {
		t.Skip("no package given: run this with make deploy, which makes one")
	}
	if os.Getuid() != 0 {
		t.Skip("not root: no systemd is booted")
	}
	for _, program := range []string{"systemd-nspawn", "nsenter", "unshare"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no systemd is booted: %v (Debian: systemd-container util-linux)", err)
		}
	}
	m := startMachine(t, deb)
	t.Log(strings.SplitN(m.must("systemctl", "--version"), "\n", 2)[0])
	s := &service{machine: m}
	s.install()
	s.reload()
	s.watchdog()
	s.underLoad()
	s.upgrade()
	s.badSettings()
}

// service is hookswitch on the machine, with Telnyx and an app around it.
type service struct {
	*machine
	telnyx *telnyx.Telnyx
	app    telnyx.App
	base   string // settings that stay
}

// install: the package is installed, and does nothing until it is told a key.
func (s *service) install() {
	t := s.t
	app := httptest.NewServer(&s.app)
	t.Cleanup(app.Close)
	listen := port.Free(t)
	var err error
	if s.telnyx, err = telnyx.New("http://127.0.0.1:" + listen); err != nil {
		t.Fatal(err)
	}
	if out := s.must("dpkg", "--force-unsafe-io", "--no-triggers", "--install", "/root/hookswitch.deb"); !strings.Contains(out, "set TELNYX_PUBLIC_KEY in "+settings) {
		t.Errorf("the package says\n%s", out)
	}
	if owner := s.must("stat", "--format=%U:%G %a", settings); owner != "root:hookswitch 640\n" {
		t.Errorf("the settings belong to %s", owner)
	}
	s.base = fmt.Sprintf("TELNYX_PUBLIC_KEY=%s\nHOOKSWITCH_LISTEN=127.0.0.1:%s\nHOOKSWITCH_ADMIN_LISTEN=127.0.0.1:%s\nHOOKSWITCH_FORWARD_TO=%s\n",
		s.telnyx.PublicKey(), listen, port.Free(t), app.URL)
	s.write(settings, s.base)
	s.must("systemctl", "enable", "--now", "hookswitch")
	if state := s.property("ActiveState"); state != "active" {
		t.Fatalf("the service is %s\n%s", state, s.journal())
	}
	if user := s.must("ps", "-o", "user:20=", s.property("MainPID")); strings.TrimSpace(user) != "hookswitch" {
		t.Errorf("the service runs as %s", user)
	}
	s.arrives("first")
	if out := s.must("hookswitch", "status"); !strings.Contains(out, "ready") {
		t.Errorf("root asks for the status:\n%s", out)
	}
}

// arrives sends an event that must reach the app.
func (s *service) arrives(id string) {
	s.t.Helper()
	if _, err := s.telnyx.Persist(s.t.Context(), id, 300); err != nil {
		s.t.Fatalf("%s: %v\n%s", id, err, s.journal())
	}
	s.until(id, func() error { return s.app.HasAll([]string{id}) })
}

// reload: what has changed in the settings is in effect when the command ends, in
// the same process, and what is wrong is refused by the command itself.
func (s *service) reload() {
	t, pid := s.t, s.property("MainPID")
	s.write(settings, s.base+"HOOKSWITCH_TOLERANCE=7m\nHOOKSWITCH_PATHS=/webhooks,/other\n")
	s.must("systemctl", "reload", "hookswitch")
	if out := s.must("hookswitch", "config", "show", "--running"); !strings.Contains(strings.Join(strings.Fields(out), " "), "HOOKSWITCH_TOLERANCE 7m file") {
		t.Errorf("after a reload the settings are\n%s", out)
	}
	if log := s.journal(); !strings.Contains(log, "HOOKSWITCH_PATHS") {
		t.Errorf("the journal does not say which settings take a restart:\n%s", log)
	}
	s.write(settings, s.base+"HOOKSWITCH_TOLERANCE=5\n")
	if out, err := s.run("systemctl", "reload", "hookswitch"); err == nil {
		t.Errorf("wrong settings are accepted: %s", out)
	}
	if log := s.journal(); !strings.Contains(log, "needs a unit") {
		t.Errorf("the journal does not say what is wrong:\n%s", log)
	}
	s.write(settings, s.base)
	s.must("systemctl", "reload", "hookswitch")
	if state, now := s.property("ActiveState"), s.property("MainPID"); state != "active" || now != pid {
		t.Errorf("after three reloads the service is %s, process %s, before %s", state, now, pid)
	}
	s.arrives("after reloads")
}

// watchdog: a sidecar that hangs is restarted.
func (s *service) watchdog() {
	s.must("mkdir", "-p", "/etc/systemd/system/hookswitch.service.d")
	s.write("/etc/systemd/system/hookswitch.service.d/test.conf", "[Service]\nWatchdogSec=2\n")
	s.must("systemctl", "daemon-reload")
	s.must("systemctl", "restart", "hookswitch")
	s.must("kill", "-STOP", s.property("MainPID"))
	s.until("a restart by the watchdog", func() error {
		if n, state := s.property("NRestarts"), s.property("ActiveState"); n != "1" || state != "active" {
			return fmt.Errorf("%s restarts, %s", n, state)
		}
		return nil
	})
	s.must("rm", "/etc/systemd/system/hookswitch.service.d/test.conf") // a slow machine shall not be taken for one that hangs
	s.must("systemctl", "daemon-reload")
	s.must("systemctl", "restart", "hookswitch")
	s.arrives("after the watchdog")
}

// underLoad: reload, restart, stop and start lose nothing and deliver nothing twice.
// The directory changes its owner meanwhile, as it does when a machine comes to have
// the user that systemd made up before.
func (s *service) underLoad() {
	t := s.t
	load := s.telnyx.Load(t.Context(), "load", 4)
	s.until("load", load.More(60))
	s.must("systemctl", "reload", "hookswitch")
	s.must("systemctl", "restart", "hookswitch")
	s.until("load after a restart", load.More(60))
	s.must("systemctl", "stop", "hookswitch")
	if result, status := s.property("Result"), s.property("ExecMainStatus"); result != "success" || status != "0" {
		t.Errorf("stopped under load: %s, exit code %s\n%s", result, status, s.journal())
	}
	s.must("chown", "-R", "61234:61234", "/var/lib/private/hookswitch")
	s.must("systemctl", "start", "hookswitch")
	s.until("load after a stop", load.More(60))
	acked, again, err := load.Stop()
	if err != nil {
		t.Error(err)
	}
	s.until("all events", func() error { return s.app.HasAll(acked) })
	if twice := s.app.Repeated(); len(twice) > 0 {
		t.Errorf("delivered more than once: %q", twice)
	}
	t.Logf("%d events during a reload, a restart and a stop, %d more tries: 0 lost, 0 twice", len(acked), again)
}

// upgrade: a newer package restarts what runs, and leaves the settings.
func (s *service) upgrade() {
	pid := s.property("MainPID")
	s.must("dpkg", "--force-unsafe-io", "--no-triggers", "--install", "/root/hookswitch.deb")
	if now := s.property("MainPID"); now == pid || now == "0" {
		s.t.Errorf("after an upgrade the process is %s, before %s", now, pid)
	}
	if s.must("cat", settings) != s.base {
		s.t.Error("an upgrade has changed the settings")
	}
	s.arrives("after an upgrade")
}

// badSettings: trying again does not fix them, so systemd does not.
func (s *service) badSettings() {
	s.write(settings, "HOOKSWITCH_TOLERANCE=5\n")
	if out, err := s.run("systemctl", "restart", "hookswitch"); err == nil {
		s.t.Errorf("it starts: %s", out)
	}
	if state, status := s.property("ActiveState"), s.property("ExecMainStatus"); state != "failed" || status != "78" {
		s.t.Errorf("with wrong settings the service is %s, exit code %s\n%s", state, status, s.journal())
	}
}
