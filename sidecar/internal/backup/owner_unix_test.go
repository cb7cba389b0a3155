//go:build unix

package backup

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestRootGivesFilesToTheOwnerOfTheDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	at := filepath.Join(t.TempDir(), "backup")
	if _, err := source(t, 1).Write(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1234, 1235); err != nil {
		t.Fatal(err)
	}
	if _, err := (Target{Dir: dir}).Restore(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"events.db", "forward.key", "lock"} {
		fi, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if owner := fi.Sys().(*syscall.Stat_t); owner.Uid != 1234 || owner.Gid != 1235 {
			t.Errorf("%s belongs to %d:%d", name, owner.Uid, owner.Gid)
		}
	}
}

// asNobody runs the test once more as another user if this one is root, whom
// permissions do not keep from anything, and reports whether it has.
func asNobody(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("", "nobody") // not t.TempDir, which is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, "program")
	if err := errors.Join(os.Chmod(dir, 0o777), os.WriteFile(copied, program, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), copied, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Fatalf("as another user: %v\n%s", err, out)
	}
	return true
}

// TestRestoreThatFailsSaysWhereThingsAre: what was moved aside can be found.
func TestRestoreThatFailsSaysWhereThingsAre(t *testing.T) {
	if asNobody(t) {
		return
	}
	at := filepath.Join(t.TempDir(), "backup")
	if _, err := source(t, 1).Write(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	dir := source(t, 1).Dir
	stuck := filepath.Join(dir, "forward.key") // a directory of others cannot be moved into another one
	if err := os.Remove(stuck); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(stuck, 0o500); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "events.db-wal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Target{Dir: dir, Replace: true}.Restore(t.Context(), at)
	if err == nil || r.Aside == "" || !strings.Contains(err.Error(), r.Aside) {
		t.Fatalf("aside %q, error: %v", r.Aside, err)
	}
	if got := list(t, r.Aside); got != "events.db-wal" {
		t.Errorf("set aside: %s", got)
	}
}
