package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// oldDatabase returns the URL of a database of schema 2, with an event that waits for
// target and one whose key is not its id.
func oldDatabase(t *testing.T, server *pgtest.Server) string {
	t.Helper()
	url := server.Database(t)
	server.Exec(t, url, `CREATE TABLE hookswitch_schema (version integer NOT NULL); INSERT INTO hookswitch_schema VALUES (1), (2)`)
	for _, text := range postgres.Migrations[:2] {
		server.Exec(t, url, text)
	}
	for i, id := range []string{"ABCDEF01-0000-4000-8000-000000000001", "plain", "other"} {
		key := strings.ReplaceAll("id:"+strings.ToLower(id), "other", "another")
		server.Exec(t, url, fmt.Sprintf(`
			INSERT INTO hookswitch_events (key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, payload_off, payload_len, body)
			VALUES ('%s', 'delivery-%d', '%s', 'message.sent', '', now(), 'POST', '/', '', '', 0, -1, '{}');
			INSERT INTO hookswitch_records (seq, type, received_at, handled, bytes) SELECT max(seq), 'message.sent', now(), true, 1 FROM hookswitch_events;
			INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, order_at, round_at) SELECT max(seq), '%s', 'pending', now(), now(), now() FROM hookswitch_events`,
			key, i, id, target))
	}
	return url
}

func TestUpgrade(t *testing.T) {
	server := pgtest.Start(t)
	url := oldDatabase(t, server)
	db := mustOpen(t, postgres.Config{URL: url})
	accept(t, db, "new", target)
	for id, want := range map[string]string{
		"ABCDEF01-0000-4000-8000-000000000001": "delivery-0", "abcdef01-0000-4000-8000-000000000001": "delivery-0",
		"plain": "delivery-1", "other": "delivery-2", "delivery-2": "delivery-2",
	} {
		if d, err := db.Delivery(t.Context(), id); err != nil || d.Event.DeliveryID != want {
			t.Errorf("%s: %+v, %v; want %s", id, d, err, want)
		}
	}
	for _, id := range []string{"PLAIN", "another", "id:plain", "nothing"} {
		if d, err := db.Delivery(t.Context(), id); err == nil {
			t.Errorf("%s is %s", id, d.Event.DeliveryID)
		}
	}
	got := claimed(t, db, 10)
	slices.Sort(got)
	if want := []string{"id:abcdef01-0000-4000-8000-000000000001", "id:another", "id:plain", "new"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	again := mustOpen(t, postgres.Config{URL: url}) // nothing is left to do
	if page, err := again.Events(t.Context(), store.Query{}, 0, 10); err != nil || len(page.Deliveries) != 4 {
		t.Errorf("%d events, %v", len(page.Deliveries), err)
	}
}

// An upgrade that has to wait for somebody lets the others pass.
func TestUpgradeOfTablesInUse(t *testing.T) {
	server := pgtest.Start(t)
	url := oldDatabase(t, server)
	reader, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close(context.Background())
	if _, err := reader.Exec(t.Context(), `BEGIN; SELECT count(*) FROM hookswitch_jobs`); err != nil {
		t.Fatal(err)
	}
	log, said := logged()
	opened := make(chan error, 1)
	var db *postgres.DB
	go func() {
		var err error
		db, err = postgres.Open(t.Context(), postgres.Config{URL: url, Log: log})
		opened <- err
	}()
	await(t, "a first try", func() bool { return strings.Contains(said.String(), "tried again") })
	writer, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	other, err := pgx.Connect(writer, url)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.Background())
	if _, err := other.Exec(writer, `UPDATE hookswitch_events SET duplicates = duplicates + 1`); err != nil {
		t.Errorf("while the upgrade waits: %v", err)
	}
	select {
	case err := <-opened:
		t.Fatalf("opened with %v while the tables were read", err)
	default:
	}
	if _, err := reader.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-opened:
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
	case <-time.After(2 * patience):
		t.Fatal("not upgraded")
	}
	if n := len(claimed(t, db, 10)); n != 3 {
		t.Errorf("claimed %d, want 3", n)
	}
}
