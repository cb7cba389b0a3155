//go:build unix

package backup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/hookswitch/hookswitch/internal/testkit/nobody"
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

// TestRestoreThatFailsSaysWhereThingsAre: what was moved aside can be found.
func TestRestoreThatFailsSaysWhereThingsAre(t *testing.T) {
	if nobody.Runs(t) {
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
