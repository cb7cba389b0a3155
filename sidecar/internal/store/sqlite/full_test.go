package sqlite_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestDiskFull fills a real, small file system. While it is full nothing is
// accepted and the message says so; when there is room again everything goes
// on by itself, and what was acknowledged is there.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a small file system (it takes root): %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	acked, failed := fillDisk(t, db)
	if failed == nil || !strings.Contains(failed.Error(), "is full: free some space") {
		t.Fatalf("after %d events: %v", len(acked), failed)
	}
	for range 2 { // a repetition fails as well, and does no harm
		if _, err := db.Accept(t.Context(), newEvent("again"), []string{"plugin:a"}); err == nil {
			t.Error("an event was accepted on a full disk")
		}
		if err := db.Ping(t.Context()); err == nil {
			t.Error("a full disk is not noticed by Ping")
		}
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	accept(t, db, "again", "plugin:a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = sqlite.Open(t.Context(), sqlite.Config{Dir: filepath.Join(dir, "data")}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, key := range append(acked, "again") {
		if _, err := db.Delivery(t.Context(), key); err != nil {
			t.Fatalf("an event that was acknowledged is lost: %v", err)
		}
	}
}

// fillDisk accepts events until one fails.
func fillDisk(t *testing.T, db *sqlite.DB) (acked []string, err error) {
	for i := range 10_000 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 10_000)
		if _, err := db.Accept(t.Context(), e, []string{"plugin:a"}); err != nil {
			return acked, err
		}
		acked = append(acked, e.ID)
	}
	return acked, nil
}

// TestSpaceIsGivenBack: what is pruned leaves the file.
func TestSpaceIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 20_000)
		if _, err := db.Accept(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	if mode, err := db.Pragma(t.Context(), "auto_vacuum"); err != nil || mode != "2" {
		t.Errorf("auto_vacuum is %s, %v; want 2, incremental", mode, err)
	}
	var got store.Pruned
	for got.More = true; got.More; {
		if got, err = db.Prune(t.Context(), store.Retention{MaxBytes: 1}, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "events.db"))
	if err != nil || fi.Size() > 2<<20 {
		t.Errorf("the file has %d bytes after 10 MB were removed, %v", fi.Size(), err)
	}
}
