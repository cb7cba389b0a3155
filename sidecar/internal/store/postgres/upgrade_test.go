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

// An upgrade that is cut off, with the sidecar or with the server, leaves the tables as
// they were, and the next start does all of it.
func TestUpgradeIsCutOff(t *testing.T) {
	server := pgtest.Start(t)
	for _, tt := range []struct {
		after string // which statement
		end   func(stop func())
	}{
		{"CREATE INDEX", func(stop func()) { stop() }},
		{"DROP INDEX", func(func()) { server.Kill(); server.Run(t) }},
	} {
		t.Run(tt.after, func(t *testing.T) {
			url := oldDatabase(t, server)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			if _, err := conn.Exec(t.Context(), `SELECT pg_advisory_lock(7);
				CREATE FUNCTION hang() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); END';
				CREATE EVENT TRIGGER hang ON ddl_command_end WHEN TAG IN ('`+tt.after+`') EXECUTE FUNCTION hang()`); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			opened := make(chan error, 1)
			go func() {
				db, err := postgres.Open(ctx, postgres.Config{URL: url})
				if err == nil {
					_ = db.Close()
				}
				opened <- err
			}()
			await(t, "the statement", func() (hangs bool) {
				if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND NOT granted)`).Scan(&hangs); err != nil {
					t.Fatal(err)
				}
				return hangs
			})
			tt.end(stop)
			if err := <-opened; err == nil {
				t.Error("opened all the same")
			}
			conn.Close(t.Context())
			server.Exec(t, url, `DROP EVENT TRIGGER hang`)
			if got, want := schemaOf(t, url), [4]int{2, 3, 1, 0}; got != want {
				t.Errorf("left with %v, want %v", got, want)
			}
			db := mustOpen(t, postgres.Config{URL: url})
			if got, want := schemaOf(t, url), [4]int{3, 0, 0, 1}; got != want {
				t.Errorf("upgraded to %v, want %v", got, want)
			}
			if n := len(claimed(t, db, 10)); n != 3 {
				t.Errorf("claimed %d, want 3", n)
			}
		})
	}
}

// schemaOf returns the number of the schema, and how many references, old and new
// indexes it has.
func schemaOf(t *testing.T, url string) (n [4]int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), `SELECT (SELECT max(version) FROM hookswitch_schema), (SELECT count(*) FROM pg_constraint WHERE contype = 'f'),
		(SELECT count(*) FROM pg_indexes WHERE indexname = 'hookswitch_events_id'), (SELECT count(*) FROM pg_indexes WHERE indexname = 'hookswitch_events_other_id')`).Scan(&n[0], &n[1], &n[2], &n[3]); err != nil {
		t.Fatal(err)
	}
	return n
}
