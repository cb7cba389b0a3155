//go:build linux

package pluginhost

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/process"
)

func TestMemoryLimit(t *testing.T) {
	for _, do := range []string{"hog", "child-hog"} {
		t.Run(do, func(t *testing.T) {
			s := newSetup(t, func(c *Config) { c.Memory = 192 << 20; c.Timeout = 2 * soon }, "good")
			s.launch.Timings.Memory = 100 * time.Millisecond
			s.timings.backoffBase = time.Millisecond
			s.start(t)
			p := s.plugin(t, "good")
			begun := time.Now()
			a := deliver(t, p, task(1, do))
			if a.Outcome != delivery.OutcomeLost || !slices.Equal(a.ErrorCodes, []int{codeLost}) ||
				!strings.Contains(a.Error, "killed by the host: memory: it had") || !strings.Contains(a.Error, "may have 192 MiB") {
				t.Errorf("got %+v", a)
			}
			t.Logf("killed after %v: %s", time.Since(begun), a.Error)
			if a := deliver(t, p, task(2, "ack")); a.Outcome != delivery.OutcomeDone {
				t.Errorf("the next process: got %+v", a)
			}
			if st := p.Status(); !strings.Contains(st.LastError, "memory") || st.Restarts != 1 {
				t.Errorf("status %+v", st)
			}
		})
	}
}

func TestLimitsOfTheProcess(t *testing.T) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	want := "oom=500 "
	if strings.TrimSpace(string(own)) != "0" {
		want = "oom="
	}
	s := startSetup(t, func(c *Config) { c.Memory, c.OpenFiles, c.WorkDir = 100<<20, 256, t.TempDir() }, "good")
	deliver(t, s.plugin(t, "good"), task(1, "limits"))
	s.log.wait(t, 1, "INFO limits", "files=256/256 many=true stopped=true core=0/0", want, "gomemlimit=94371840 ")
}

// publicDir returns a directory that every user can reach, with this test's
// binary under the name of a plugin.
func publicDir(t *testing.T, name string) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), program, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestPluginsRunAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start processes of another user")
	}
	dir := publicDir(t, "good")
	work := filepath.Join(shortDir(t), "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HS_TEST_SECRET", secret)
	state := shortDir(t)
	if err := os.Chmod(state, 0o711); err != nil {
		t.Fatal(err)
	}
	cfg := func(c *Config) {
		c.Dir, c.WorkDir, c.User = dir, work, "65534:65533"
		c.StateDir = state
		c.Env = append(c.Env, "HS_TEST_SECRET")
	}
	_, err := New(func() Config { c := Config{RunDir: shortDir(t)}; cfg(&c); return c }())
	if err == nil || !strings.Contains(err.Error(), "chmod o+x "+filepath.Dir(work)) {
		t.Fatalf("with a working directory out of reach: %v", err)
	}
	if err := os.Chmod(filepath.Dir(work), 0o711); err != nil {
		t.Fatal(err)
	}
	s := startSetup(t, cfg)
	p := s.plugin(t, "good")
	deliver(t, p, task(1, "limits"))
	s.log.wait(t, 1, "INFO limits", "uid=65534 gid=65533 groups=[", "secret=true work=<nil>")
	line := s.log.wait(t, 1, "INFO limits")
	if _, groups, _ := strings.Cut(line, "groups=["); slices.Contains(strings.Fields(strings.Split(groups, "]")[0]), "0") {
		t.Errorf("the plugin is in root's group: %s", line)
	}

	// Its socket is out of the reach of anybody else but root.
	socket := socketOf(p)
	if socket == "" {
		t.Fatal("there is not one socket")
	}
	for uid, want := range map[uint32]string{65534: "<nil>", 65532: "permission denied"} {
		cmd := &exec.Cmd{Path: filepath.Join(dir, "good"), Args: []string{"dialer"},
			Env:         []string{process.CookieKey + "=x", "HS_TEST_SOCKET=" + socket},
			SysProcAttr: &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}}
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte(want)) {
			t.Errorf("user %d dials the socket: %q, %v; want %q", uid, out, err, want)
		}
	}
	s.Stop()
	s.log.wait(t, 1, "INFO plugin stopped")
}

func TestRootIsRefusedUnlessAllowed(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be refused as root")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "p"), nil, 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: dir, RunDir: shortDir(t), StateDir: t.TempDir(), RefuseRoot: true}
	if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_PLUGIN_USER") {
		t.Errorf("got %v", err)
	}
	for _, user := range []string{"root", "0", "root:root"} {
		cfg.User = user
		if _, err := New(cfg); err != nil {
			t.Errorf("user %q: %v", user, err)
		}
	}
	cfg.User = ""
	if err := os.Remove(filepath.Join(dir, "p")); err != nil {
		t.Fatal(err)
	}
	writeManifest(t, &cfg, "far", `{"protocol":"remote","address":"127.0.0.1:1"}`)
	if _, err := New(cfg); err != nil {
		t.Errorf("a remote plugin: %v", err)
	}
}
