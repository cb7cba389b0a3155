package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return mustOpen(t, dir) })
}

func mustOpen(t testing.TB, dir string) *sqlite.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func newEvent(key string) *delivery.Event {
	return &delivery.Event{
		Key: key, ID: key, Type: "message.sent", ReceivedAt: time.Now(), Method: "POST",
		Body: []byte(`{"data":{"payload":{}}}`), PayloadLen: -1,
	}
}

func accept(t testing.TB, db *sqlite.DB, key string, targets ...string) {
	t.Helper()
	if _, err := db.Accept(t.Context(), newEvent(key), targets); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreForTheirOwnerOnly(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	dir := filepath.Join(t.TempDir(), "a", "b")
	accept(t, mustOpen(t, dir), "1")
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != 4 { // events.db, its -wal and -shm, lock
		t.Errorf("directory holds %v", names)
	}
	want := map[bool]fs.FileMode{true: 0o700, false: 0o600}
	for _, name := range append(names, dirEntry(t, dir)) {
		fi, err := name.Info()
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm() != want[fi.IsDir()] {
			t.Errorf("%s has mode %v", fi.Name(), fi.Mode())
		}
	}
}

func dirEntry(t *testing.T, path string) fs.DirEntry {
	t.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fs.FileInfoToDirEntry(fi)
}

// A typing error in the data source name would go unnoticed until a power cut.
func TestCommitsAreSynced(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	for name, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "fullfsync": "1", "checkpoint_fullfsync": "1", "foreign_keys": "1",
	} {
		if got, err := db.Pragma(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %q, error %v; want %q", name, got, err, want)
		}
	}
}

func TestDirectoryHasOneOwner(t *testing.T) {
	t.Run("within a process", func(t *testing.T) {
		dir := t.TempDir()
		db := mustOpen(t, dir)
		_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		wantMessage(t, err, dir, "this process", strconv.Itoa(os.Getpid()))
		accept(t, db, "the owner is not disturbed")
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		// Only the database and the lock file stay: nothing is left in the log.
		if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
			t.Errorf("after closing, the directory holds %v, error %v", names, err)
		}
		accept(t, mustOpen(t, dir), "closing releases")
	})
	t.Run("between processes", func(t *testing.T) {
		dir := t.TempDir()
		child, acks := startChild(t, dir)
		if !acks.Scan() {
			t.Fatal("the other process acknowledged nothing")
		}
		_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		wantMessage(t, err, dir, "another process", strconv.Itoa(child.Process.Pid))
		kill(t, child, acks)
		accept(t, mustOpen(t, dir), "death releases")
	})
}

func wantMessage(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("got no error")
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not contain %q", err, p)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir, file string)
		want    []string
	}{
		{"a file that is no database", func(t *testing.T, dir, file string) {
			write(t, file, []byte(strings.Repeat("not a database ", 1000)))
		}, []string{"events.db is damaged", "backup"}},

		{"a database with a damaged page", func(t *testing.T, dir, file string) {
			fill(t, dir)
			b := read(t, file)
			for i := 8192; i < len(b); i++ {
				b[i] ^= 0x55
			}
			write(t, file, b)
		}, []string{"events.db is damaged", ".recover"}},

		{"a truncated database", func(t *testing.T, dir, file string) {
			fill(t, dir)
			write(t, file, read(t, file)[:16384])
		}, []string{"events.db is damaged"}},

		{"a database from the future", func(t *testing.T, dir, file string) {
			fill(t, dir)
			execSQL(t, file, `PRAGMA user_version = 99`)
		}, []string{"newer version", "schema 99"}},

		{"the database of another program", func(t *testing.T, dir, file string) {
			execSQL(t, file, `CREATE TABLE events (a)`)
		}, []string{"another program"}},

		{"a directory that is a file", func(t *testing.T, dir, file string) {
			if err := os.Remove(dir); err != nil {
				t.Fatal(err)
			}
			write(t, dir, nil)
		}, []string{"create data directory", "not a directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			tt.prepare(t, dir, filepath.Join(dir, "events.db"))
			for range 2 { // a failed Open leaves no lock behind
				_, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
				wantMessage(t, err, tt.want...)
			}
		})
	}
	_, err := sqlite.Open(t.Context(), sqlite.Config{})
	wantMessage(t, err, "Config.Dir")
}

// fill makes a database of some hundred kilobytes.
func fill(t *testing.T, dir string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 10_000)
		if _, err := db.Accept(t.Context(), e, []string{"plugin:a"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func execSQL(t *testing.T, file, text string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, file string, b []byte) {
	t.Helper()
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Lists and the dispatch loop must not read their way through all events.
func TestQueriesUseIndexes(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	page := func(f store.Filter) (string, []any) {
		where, args := sqlite.FilterSQL(f)
		return `SELECT seq FROM records WHERE ` + where + ` ORDER BY seq DESC LIMIT 20 OFFSET 0`, args
	}
	every, everyArgs := page(store.Filter{})
	failed, failedArgs := page(store.Filter{Status: "failed"})
	all, allArgs := page(store.Filter{EventTypes: []string{"a"}, StartedFrom: time.Now(), WebhookContains: "x", AttemptsContains: "x"})
	for _, tt := range []struct {
		name, query string
		args        []any
		want        string
	}{
		{"waiting jobs", sqlite.WaitingJobs, []any{"a", 1}, "jobs_due"},
		{"an id of a delivery", sqlite.SelectByID, []any{"a", true}, "events_delivery_id"},
		{"an id in a key", sqlite.SelectByID, []any{"a", true}, "sqlite_autoindex_events_1 (key=?)"},
		{"an id of an event", sqlite.SelectByID, []any{"a", true}, "events_id"},
		{"all deliveries", every, everyArgs, "records"},
		{"failed deliveries", failed, failedArgs, "records_status"},
		{"deliveries by all filters", all, allArgs, "records"},
	} {
		plan, err := db.Plan(t.Context(), tt.query, tt.args...)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, tt.want) || strings.Contains(text, "SCAN events") || strings.Contains(text, "SCAN e\n") ||
			strings.Contains(text, "SCAN jobs") || strings.Contains(text, "SCAN a\n") || strings.Contains(text, "TEMP B-TREE FOR ORDER BY") && tt.query != sqlite.SelectByID {
			t.Errorf("%s: the plan is\n%s", tt.name, text)
		}
	}
}

// The id of an event is found whether its key is made of it or not.
func TestEventsAreFoundByID(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	const upper = "F5586561-8FF0-4291-A0AC-84FE544797BD"
	ids := map[string]string{ // by key
		"id:" + strings.ToLower(upper): upper,
		"id:Mixed":                     "Mixed",
		"id:mixed":                     "mixed",
		"id:plain":                     "plain",
		"digest":                       "elsewhere",
		"id:":                          "",
	}
	seqs := make(map[string]int64)
	for key, id := range ids {
		e := newEvent(key)
		e.ID = id
		got, err := db.Accept(t.Context(), e, nil)
		if err != nil {
			t.Fatal(err)
		}
		seqs[id] = got.Seq
	}
	for id, want := range map[string]string{
		upper: upper, strings.ToLower(upper): upper, "Mixed": "Mixed", "mixed": "mixed", "plain": "plain", "elsewhere": "elsewhere",
	} {
		if d, err := db.Delivery(t.Context(), id); err != nil || d.Event.Seq != seqs[want] {
			t.Errorf("%s: %+v, %v; want event %d", id, d, err, seqs[want])
		}
	}
	for _, id := range []string{"", "MIXED", "Plain", "digest", "id:plain"} {
		if d, err := db.Delivery(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %+v, %v; want that it is not found", id, d, err)
		}
	}
}

// startChild runs this test binary as a process that accepts events in dir and
// prints a line for each result that it was told.
func startChild(t *testing.T, dir string) (*exec.Cmd, *scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	child := exec.CommandContext(ctx, os.Args[0], "-crash-dir="+dir)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	return child, newScanner(out)
}

// kill ends the child as a power switch would end it, and reads what it still
// had written.
func kill(t *testing.T, child *exec.Cmd, acks *scanner) (rest []string) {
	t.Helper()
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for acks.Scan() {
		rest = append(rest, acks.Text())
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) {
		t.Fatalf("the child was not killed: %v", err)
	}
	return rest
}
