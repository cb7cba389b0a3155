package sqlite_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dirlock"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// copyFile puts a copy in the place of a file, as a restored backup would be.
func copyFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
}

// TestFilesAreReplaced: nothing is acknowledged into files that are not at
// their path any more. What was accepted before is still delivered, and when the
// same files are back the store goes on.
func TestFilesAreReplaced(t *testing.T) {
	for _, tt := range []struct {
		name       string
		spoil      func(dir string) error
		repair     func(dir string) error // nil: nothing can
		wantInText string
	}{
		{"the directory is removed", os.RemoveAll, nil, "it is gone"},
		{"the directory is renamed", func(dir string) error { return os.Rename(dir, dir+".old") },
			func(dir string) error { return os.Rename(dir+".old", dir) }, "it is gone"},
		{"the directory is another", func(dir string) error { return errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)) },
			func(dir string) error { return errors.Join(os.Remove(dir), os.Rename(dir+".old", dir)) }, "replaced"},
		{"the database is removed", func(dir string) error { return os.Remove(filepath.Join(dir, "events.db")) }, nil, "events.db is not"},
		{"the database is replaced", func(dir string) error { return copyFile(filepath.Join(dir, "events.db")) }, nil, "replaced"},
		{"the log is removed", func(dir string) error { return os.Remove(filepath.Join(dir, "events.db-wal")) }, nil, "events.db-wal is not"},
		{"the log is replaced", func(dir string) error { return copyFile(filepath.Join(dir, "events.db-wal")) }, nil, "replaced"},
		{"the index of the log is removed", func(dir string) error { return os.Remove(filepath.Join(dir, "events.db-shm")) }, nil, "events.db-shm is not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			accept(t, db, "before", "plugin:a")
			if err := tt.spoil(dir); err != nil {
				t.Fatal(err)
			}
			refuses(t, db, tt.wantInText)
			if tt.repair == nil {
				return
			}
			if err := tt.repair(dir); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(db.Intact(), db.Ping(t.Context())); err != nil {
				t.Errorf("with the same files back: %v", err)
			}
			accept(t, db, "after", "plugin:a")
		})
	}
}

// refuses checks that db takes no events, but delivers what it has.
func refuses(t *testing.T, db *sqlite.DB, want string) {
	t.Helper()
	_, err := db.Accept(t.Context(), newEvent("refused"), []string{"plugin:a"})
	for what, err := range map[string]error{"accept": err, "intact": db.Intact(), "ping": db.Ping(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", what, err, want)
		}
	}
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 10)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("%d tasks, %v; want the one that was accepted before", len(tasks), err)
	}
	a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: "plugin:a", N: 1,
		StartedAt: time.Now(), FinishedAt: time.Now(), Outcome: delivery.OutcomeDone}
	if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); err != nil {
		t.Errorf("the result of what was accepted before: %v", err)
	}
}

// TestEdgeMountOverTheDirectory: a volume that is mounted where the store has
// its files already hides them, and unmounting it brings them back.
func TestEdgeMountOverTheDirectory(t *testing.T) {
	edges.Need(t)
	dir := filepath.Join(edges.Tmpfs(t, "16m"), "data")
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "before", "plugin:a")
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v %s", err, out)
	}
	refuses(t, db, "mounted over it")
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		t.Fatalf("umount: %v %s", err, out)
	}
	accept(t, db, "after", "plugin:a")
}

// TestTheLockIsTakenAgain: a lock that somebody removed does not let a second
// process in; one that a second process has taken keeps this one from accepting.
func TestTheLockIsTakenAgain(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	path := filepath.Join(dir, "lock")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := db.Intact(); err != nil {
		t.Errorf("a lock that can be taken again: %v", err)
	}
	if _, err := dirlock.Take(dir); err == nil {
		t.Error("the directory has two owners")
	}
	if !strings.Contains(log.String(), "file-restored") {
		t.Errorf("log: %s", log.String())
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	other, err := dirlock.Take(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Accept(t.Context(), newEvent("refused"), nil); err == nil || !strings.Contains(err.Error(), "is in use by") {
		t.Errorf("accept with another owner: %v", err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	accept(t, db, "after", "plugin:a")
}

// TestCloseLeavesTheFilesOfOthers: a database that was put in the place of the
// one that is open keeps its log, with what is in it, when that one is closed.
func TestCloseLeavesTheFilesOfOthers(t *testing.T) {
	dir, restored := t.TempDir(), t.TempDir()
	other, err := sqlite.Open(t.Context(), sqlite.Config{Dir: restored})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, other, "in the log", "plugin:a")
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, db, "old", "plugin:a")
	for _, name := range []string{"events.db", "events.db-wal"} { // as a copy of a crashed machine's disk
		text, err := os.ReadFile(filepath.Join(restored, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := errors.Join(os.Remove(path), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(filepath.Join(dir, "events.db-shm")), other.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if db, err = sqlite.Open(t.Context(), sqlite.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Delivery(t.Context(), "in the log"); err != nil {
		t.Errorf("what was in the log of the restored database: %v", err)
	}
}
