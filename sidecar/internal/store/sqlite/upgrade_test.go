package sqlite_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
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
		{sqlite.Schema1(), nil},
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
