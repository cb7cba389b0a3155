package dirlock_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
)

// TestTakeSweeps: the owner of a directory removes what a crash left half written,
// and one that is refused touches nothing.
func TestTakeSweeps(t *testing.T) {
	dir := t.TempDir()
	left := filepath.Join(dir, durable.Temp+"123")
	leave := func() {
		if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	leave()
	lock, err := dirlock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := os.Lstat(left); err == nil {
		t.Error("the file is still there")
	}
	leave()
	if _, err := dirlock.Take(dir); err == nil {
		t.Fatal("the directory has two owners")
	}
	if _, err := os.Lstat(left); err != nil {
		t.Errorf("swept by another: %v", err)
	}
}
