package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// accept stores n events, each with a job that waits.
func accept(t *testing.T, s store.Store, n int) {
	t.Helper()
	for range n {
		id := rand.Text()
		e := &delivery.Event{Key: id, ID: id, Type: "message.received", Method: "POST", Path: "/webhooks", ReceivedAt: time.Now(), Body: []byte("{}"), PayloadLen: -1}
		if _, err := s.Accept(t.Context(), e, []string{"forward:default"}); err != nil {
			t.Fatal(err)
		}
	}
}

// waiting counts the jobs that a store still has to do.
func waiting(t *testing.T, s store.Store) int {
	t.Helper()
	tasks, err := s.Claim(t.Context(), "forward:default", time.Now().Add(time.Minute), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}

func openSQLite(t *testing.T, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// source makes a data directory with a key and n events.
func source(t *testing.T, n int) Source {
	t.Helper()
	dir := t.TempDir()
	db := openSQLite(t, dir)
	accept(t, db, n)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "forward.key"), []byte("a key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Source{Dir: dir, Keys: []string{"forward.key", "dev.key"}, Version: "test"}
}

func list(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

func TestSQLiteThereAndBack(t *testing.T) {
	src := source(t, 10)
	db := openSQLite(t, src.Dir) // runs, as it does beside a sidecar
	accept(t, db, 5)             // in the log, not in the file
	at := filepath.Join(t.TempDir(), "sub", "backup")
	m, err := src.Write(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	accept(t, db, 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Events != 15 || m.Store != "sqlite" || len(m.Files) != 2 {
		t.Errorf("the manifest is %+v", m)
	}
	if got := list(t, at); got != "backup.json events.db forward.key" {
		t.Errorf("the backup has %s", got)
	}
	for _, path := range []string{at, filepath.Join(at, "events.db"), filepath.Join(at, "forward.key")} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("others may read %s: %v %v", path, fi.Mode(), err)
		}
	}

	// Over the log of a sidecar that was killed, which must not reach the
	// database that comes from the backup.
	dir := source(t, 3).Dir
	if err := os.WriteFile(filepath.Join(dir, "events.db-wal"), []byte("of another database"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Target{Dir: dir}).Restore(t.Context(), at); err == nil || !strings.Contains(err.Error(), "give --replace") {
		t.Errorf("restored over what is there: %v", err)
	}
	r, err := Target{Dir: dir, Replace: true}.Restore(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, r.Aside); got != "events.db events.db-wal forward.key" {
		t.Errorf("set aside: %s", got)
	}
	if got := list(t, dir); strings.Contains(got, "-wal") || strings.Contains(got, ".restore-") {
		t.Errorf("left in the data directory: %s", got)
	}
	back := openSQLite(t, dir)
	defer back.Close()
	if n := waiting(t, back); n != 15 {
		t.Errorf("%d jobs wait after the restore, want 15", n)
	}
	accept(t, back, 1)
	if n := waiting(t, back); n != 1 {
		t.Errorf("%d new jobs after the restore, want 1", n)
	}
}

func TestWriteLeavesNothingWhenItFails(t *testing.T) {
	src := source(t, 1)
	parent := t.TempDir()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Write(cancelled, filepath.Join(parent, "a")); err == nil {
		t.Error("written in spite of the cancellation")
	}
	src.Dir = t.TempDir()
	if _, err := src.Write(t.Context(), filepath.Join(parent, "b")); err == nil || !strings.Contains(err.Error(), "no store") {
		t.Errorf("a backup of nothing: %v", err)
	}
	if got := list(t, parent); got != "" {
		t.Errorf("left behind: %s", got)
	}
}

// TestReadFindsDamage changes each file of a backup, and its manifest.
func TestReadFindsDamage(t *testing.T) {
	src := source(t, 50)
	for name, change := range map[string]func(string) error{
		"a byte":       func(at string) error { return flip(filepath.Join(at, "events.db"), 5000) },
		"a short file": func(at string) error { return os.Truncate(filepath.Join(at, "events.db"), 4096) },
		"a key":        func(at string) error { return flip(filepath.Join(at, "forward.key"), 0) },
		"no database":  func(at string) error { return os.Remove(filepath.Join(at, "events.db")) },
		"no manifest":  func(at string) error { return os.Remove(filepath.Join(at, "backup.json")) },
		"a newer format": func(at string) error {
			return replace(filepath.Join(at, "backup.json"), `"format": 1`, `"format": 2`)
		},
		"the lock": func(at string) error {
			return errors.Join(os.Rename(filepath.Join(at, "forward.key"), filepath.Join(at, "lock")),
				replace(filepath.Join(at, "backup.json"), `"forward.key"`, `"lock"`))
		},
		"another log": func(at string) error {
			return errors.Join(os.Rename(filepath.Join(at, "forward.key"), filepath.Join(at, "events.db-wal")),
				replace(filepath.Join(at, "backup.json"), `"forward.key"`, `"events.db-wal"`))
		},
		"a manifest without the database": func(at string) error {
			return errors.Join(os.Link(filepath.Join(at, "events.db"), filepath.Join(at, "events.key")),
				replace(filepath.Join(at, "backup.json"), `"events.db"`, `"events.key"`))
		},
		"a file outside": func(at string) error {
			return errors.Join(replace(filepath.Join(at, "backup.json"), `"forward.key"`, `"../forward.key"`),
				os.Rename(filepath.Join(at, "forward.key"), filepath.Join(at, "..", "forward.key"))) // it is there, as it was
		},
	} {
		at := filepath.Join(t.TempDir(), "backup")
		if _, err := src.Write(t.Context(), at); err != nil {
			t.Fatal(err)
		}
		if err := change(at); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(t.TempDir(), "data")
		if _, err := (Target{Dir: dir}).Restore(t.Context(), at); err == nil {
			t.Errorf("%s: restored all the same", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: the data directory was touched", name)
		}
	}
}

func flip(path string, at int) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	b[at] ^= 0xff
	return os.WriteFile(path, b, 0o600)
}

func replace(path, old, new string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), old) {
		return fmt.Errorf("%s has no %s", path, old)
	}
	return os.WriteFile(path, []byte(strings.ReplaceAll(string(b), old, new)), 0o600)
}

// TestPlacesThatDoNotDo: a backup in the data directory is lost with it, and one
// that is the data directory is changed by the sidecar.
func TestPlacesThatDoNotDo(t *testing.T) {
	src := source(t, 1)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(src.Dir, link); err != nil {
		t.Fatal(err)
	}
	before := list(t, src.Dir)
	for _, at := range []string{filepath.Join(src.Dir, "a"), filepath.Join(src.Dir, "a", "b"), filepath.Join(link, "a")} {
		if _, err := src.Write(t.Context(), at); err == nil || !strings.Contains(err.Error(), "inside the data directory") {
			t.Errorf("a backup at %s: %v", at, err)
		}
	}
	if after := list(t, src.Dir); after != before {
		t.Errorf("the data directory has %s, had %s", after, before)
	}
	at := filepath.Join(t.TempDir(), "backup")
	if _, err := src.Write(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{at, filepath.Join(at, "data")} {
		if _, err := (Target{Dir: dir, Replace: true}).Restore(t.Context(), at); err == nil || !strings.Contains(err.Error(), "in the backup itself") {
			t.Errorf("restored to %s: %v", dir, err)
		}
	}
	if got := list(t, at); got != "backup.json events.db forward.key" {
		t.Errorf("the backup has %s", got)
	}
}

func TestPostgresThereAndBack(t *testing.T) {
	server := pgtest.Start(t)
	t.Setenv("PATH", server.Programs()+string(os.PathListSeparator)+os.Getenv("PATH"))
	if _, err := exec.LookPath("pg_dump"); err != nil {
		t.Skip("no pg_dump, not even beside the server:", err)
	}
	from, to := server.Database(t), server.Database(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: from})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, db, 7)
	src := source(t, 0)
	src.URL = from
	at := filepath.Join(t.TempDir(), "backup")
	m, err := src.Write(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if m.Store != "postgres" || list(t, at) != "backup.json events.dump forward.key" {
		t.Errorf("the backup has %s, its manifest is %+v", list(t, at), m)
	}
	if _, err := (Target{Dir: t.TempDir()}).Restore(t.Context(), at); err == nil || !strings.Contains(err.Error(), "another kind") {
		t.Errorf("restored into SQLite: %v", err)
	}
	if _, err := (Target{Dir: t.TempDir(), URL: from}).Restore(t.Context(), at); err == nil || !strings.Contains(err.Error(), "name an empty database") {
		t.Errorf("restored over tables that are there: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := (Target{Dir: dir, URL: to}).Restore(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); got != "forward.key lock" {
		t.Errorf("the data directory has %s", got)
	}
	back, err := postgres.Open(t.Context(), postgres.Config{URL: to})
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	accept(t, back, 1) // numbers go on behind those that are there
	if n := waiting(t, back); n != 8 {
		t.Errorf("%d jobs wait after the restore, want 8", n)
	}
}

func TestConnectionHidesThePassword(t *testing.T) {
	for url, want := range map[string][2]string{
		"postgres://u:se%20cret@h/d?pool_max_conns=4&application_name=a%20b": {"postgres://u@h/d?application_name=a%20b", "se cret"},
		"postgres:///d?host=/run&password=x&statement_cache_capacity=0":      {"postgres:///d?host=%2Frun", "x"},
		"postgres://u@h1,h2:5433/d":                                          {"postgres://u@h1,h2:5433/d", ""},
	} {
		conn, password, err := connection(url)
		if err != nil || conn != want[0] || password != want[1] {
			t.Errorf("connection(%q) = %q, %q, %v; want %q, %q", url, conn, password, err, want[0], want[1])
		}
	}
}

// TestSlashAtTheEnd: the name of a directory may end in a slash.
func TestSlashAtTheEnd(t *testing.T) {
	at := filepath.Join(t.TempDir(), "backups", "today")
	if _, err := source(t, 1).Write(t.Context(), at+"/"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, filepath.Dir(at)); got != "today" {
		t.Errorf("the directory of backups has %s", got)
	}
}
