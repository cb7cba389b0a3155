package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestUpgradeFromSchema1: a database of the first version keeps its events,
// jobs and records, and gets what was added since.
func TestUpgradeFromSchema1(t *testing.T) {
	dir := t.TempDir()
	old, err := sql.Open("sqlite", filepath.Join(dir, "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	received := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for _, q := range []struct {
		text string
		args []any
	}{
		{sqlite.Schema(1), nil},
		{`INSERT INTO events (seq, key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, payload_off, payload_len, body)
			VALUES (1, 'a', 'da', 'a', 'message.sent', '', ?1, 'POST', '/', '', '', 0, -1, x'7b7d'),
			       (2, 'b', 'db', 'b', 'call.hangup', '', ?1, 'POST', '/', '', '', 0, -1, x'7b7d'),
			       (3, 'c', 'dc', 'c', 'fax.received', '', ?1, 'POST', '/', '', '', 0, -1, x'7b7d')`, []any{received.UnixMicro()}},
		{`INSERT INTO jobs (id, event_seq, target, state, attempts, next_at)
			VALUES (7, 1, 'plugin:a', 'done', 1, NULL), (8, 2, 'plugin:a', 'pending', 0, ?1)`, []any{received.UnixMicro()}},
		{`INSERT INTO attempts (job_id, n, started_at, finished_at, outcome, retry_after, request_url, response_status, error)
			VALUES (7, 1, ?1, ?1, 'done', 0, 'plugin://a', 0, '')`, []any{received.UnixMicro()}},
		{`INSERT INTO records (seq, type, status, started_at, finished_at) VALUES (1, 'message.sent', 'delivered', ?1, ?1)`, []any{received.UnixMicro()}},
	} {
		if _, err := old.Exec(q.text, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for status, want := range map[store.Status]string{store.StatusDone: "a", store.StatusPending: "b", store.StatusUnhandled: "c"} {
		page, err := db.Events(t.Context(), store.Query{Status: status, Since: received}, 0, 10)
		if err != nil || len(page.Deliveries) != 1 || page.Deliveries[0].Event.ID != want || !page.Deliveries[0].Event.ReceivedAt.Equal(received) {
			t.Errorf("%s: %+v, %v; want %s", status, page.Deliveries, err, want)
		}
	}
	d, err := db.Delivery(t.Context(), "a")
	if err != nil || !d.Delivered() || len(d.Attempts) != 1 || !d.Jobs[0].RoundAt.Equal(received) {
		t.Errorf("delivery %+v, %v", d, err)
	}
	if _, n, err := db.Deliveries(t.Context(), store.Filter{Status: "delivered"}); err != nil || n != 1 {
		t.Errorf("%d records, %v", n, err)
	}
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 10)
	if err != nil || len(tasks) != 1 || tasks[0].Job.ID != 8 {
		t.Fatalf("claimed %+v, %v", tasks, err)
	}
	for name, want := range map[string]string{"auto_vacuum": "2", "foreign_keys": "1"} {
		if got, err := db.Pragma(t.Context(), name); got != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

// oldEvents is how many events a database of schema 3 has in the tests of its upgrade:
// those with odd numbers have ids that are not in their keys. All wait for plugin:a.
const oldEvents = 40

// makeSchema3 makes such a database.
func makeSchema3(t *testing.T, dir string, vfs *faultvfs.VFS) {
	t.Helper()
	old, err := sql.Open("sqlite", "file:"+filepath.Join(dir, sqlite.FileName)+"?vfs="+vfs.Name())
	if err != nil {
		t.Fatal(err)
	}
	old.SetMaxOpenConns(1)
	for _, text := range []string{
		`PRAGMA auto_vacuum = INCREMENTAL`, `PRAGMA journal_mode = WAL`, `PRAGMA synchronous = FULL`, sqlite.Schema(3),
		fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO events (seq, key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, payload_off, payload_len, body)
			SELECT i, iif(i %% 2, 'key ', 'id:event ') || i, 'delivery ' || i, 'event ' || i, 'message.sent', '', i, 'POST', '/', '', '', 0, -1, zeroblob(3000) FROM n`, oldEvents),
		`INSERT INTO records (seq, type, received_at, handled) SELECT seq, type, received_at, 1 FROM events`,
		`INSERT INTO jobs (event_seq, target, state, next_at, entity, order_at, round_at) SELECT seq, 'plugin:a', 'pending', seq, '', seq, seq FROM events`,
	} {
		if _, err := old.Exec(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}
}

// schemaIn returns the schema of the database in dir, all of which must be that of
// its number.
func schemaIn(t *testing.T, dir string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var index string
	if err := errors.Join(db.QueryRow(`PRAGMA user_version`).Scan(&n), db.QueryRow(`SELECT sql FROM sqlite_schema WHERE name = 'events_id'`).Scan(&index)); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(index, "key") != (n >= 4) {
		t.Errorf("schema %d has the index %s", n, index)
	}
	return n
}

// checkUpgraded opens what an upgrade that was cut off has left, and looks for
// everything that was in it.
func checkUpgraded(t *testing.T, dir string) {
	t.Helper()
	db := mustOpen(t, dir)
	if text, err := db.Pragma(t.Context(), "integrity_check"); err != nil || text != "ok" {
		t.Errorf("integrity: %s, %v", text, err)
	}
	for i := range oldEvents {
		if d, err := db.Delivery(t.Context(), fmt.Sprint("event ", i+1)); err != nil || d.Event.Seq != int64(i+1) || len(d.Event.Body) != 3000 {
			t.Errorf("event %d: %+v, %v", i+1, d, err)
		}
	}
	if tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 2*oldEvents); err != nil || len(tasks) != oldEvents {
		t.Errorf("%d jobs wait, %v; want %d", len(tasks), err, oldEvents)
	}
	accept(t, db, "goes on", "plugin:a")
}

// TestKilledUpgrade kills the process that upgrades a database before each of its
// writes and syncs: the schema is the old one or the new one, whole, and nothing of
// what was in it is lost.
func TestKilledUpgrade(t *testing.T) {
	old := t.TempDir()
	makeSchema3(t, old, faultvfs.New())
	seen := make(map[int]bool)
	for n, opened := 1, false; !opened; n++ {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(old)); err != nil {
			t.Fatal(err)
		}
		child := exec.Command(os.Args[0], "-upgrade-dir="+dir, fmt.Sprint("-upgrade-ops=", n))
		child.Stderr = os.Stderr
		out, err := child.Output()
		if opened = string(out) == "opened\n"; opened != (err == nil) {
			t.Fatalf("the child said %q, %v", out, err)
		}
		seen[schemaIn(t, dir)] = true
		checkUpgraded(t, dir)
	}
	if !seen[3] || !seen[4] || !seen[5] {
		t.Errorf("killed with the schemas %v, want 3 to 5", seen)
	}
}

// upgrade opens the store in dir and is killed before an operation on its files.
func upgrade(dir string, n int) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	vfs := faultvfs.New()
	vfs.Decide = func(at int64, _ faultvfs.Kind, _ string) faultvfs.Fault {
		if at == int64(n) {
			_ = self.Kill()
			<-time.After(time.Minute) // it does not come to this
		}
		return faultvfs.None
	}
	if _, err := sqlite.Open(context.Background(), sqlite.Config{Dir: dir, VFS: vfs.Name()}); err != nil {
		return err
	}
	fmt.Println("opened")
	return nil
}

// TestPowerCutDuringUpgrade cuts the power before each write and sync of an upgrade,
// and keeps any sectors of what was not synced.
func TestPowerCutDuringUpgrade(t *testing.T) {
	seen := make(map[int]bool)
	for n := int64(1); ; n++ {
		seed := rand.Uint64()
		dir, left := t.TempDir(), t.TempDir()
		vfs := faultvfs.New()
		vfs.Record()
		makeSchema3(t, dir, vfs)
		vfs.CutAt(vfs.Ops() + n)
		db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, VFS: vfs.Name()})
		if err == nil {
			err = db.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		if vfs.Cut() == nil {
			break // after the last
		}
		if err := vfs.Cut().Restore(left, rand.New(rand.NewPCG(seed, 0))); err != nil {
			t.Fatal(err)
		}
		seen[schemaIn(t, left)] = true
		checkUpgraded(t, left)
		if t.Failed() {
			t.Fatalf("cut before operation %d, seed %d", n, seed)
		}
	}
	if !seen[3] || !seen[4] || !seen[5] {
		t.Errorf("cut with the schemas %v, want 3 to 5", seen)
	}
}

// TestInterruptedUpgrade: a database whose schema was upgraded, but that was not
// rewritten after that so that it can shrink, is rewritten at the next start.
func TestInterruptedUpgrade(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, db, "kept", "plugin:a")
	if err := errors.Join(db.Set(t.Context(), "auto_vacuum = NONE; VACUUM"), db.Close()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"store rewritten so that it can shrink", ""} { // once
		var log bytes.Buffer
		if db, err = sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"auto_vacuum": "2", "foreign_keys": "1"} {
			if got, err := db.Pragma(t.Context(), name); got != want || err != nil {
				t.Errorf("%s is %q, %v; want %q", name, got, err, want)
			}
		}
		if d, err := db.Delivery(t.Context(), "kept"); err != nil || len(d.Jobs) != 1 {
			t.Errorf("what was in it: %+v, %v", d, err)
		}
		if got := log.String(); strings.Contains(got, "shrink") != (want != "") || !strings.Contains(got, want) {
			t.Errorf("log: %s; want %q", got, want)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestEdgeNoRoomToRewrite: a database that cannot be rewritten for lack of space
// works all the same, and says that it cannot shrink.
func TestEdgeNoRoomToRewrite(t *testing.T) {
	edges.Need(t)
	dir := edges.Tmpfs(t, "24m")
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 100_000)
		if _, err := db.Accept(t.Context(), e, []string{"plugin:a"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(db.Set(t.Context(), "auto_vacuum = NONE; VACUUM"), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 13<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if db, err = sqlite.Open(t.Context(), sqlite.Config{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := log.String(); !strings.Contains(got, "cannot-shrink") || !strings.Contains(got, "free some space") {
		t.Errorf("log: %s", got)
	}
	accept(t, db, "goes on", "plugin:a")
	if tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 100); err != nil || len(tasks) != 61 {
		t.Errorf("%d tasks, %v; want 61", len(tasks), err)
	}
}
