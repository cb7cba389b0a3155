package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

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
