package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// backlog makes n jobs of entities wait, behind the server's back, and keeps the
// server from analysing them by itself.
func backlog(t *testing.T, server *pgtest.Server, url, n string) {
	server.Exec(t, url, `
		ALTER TABLE hookswitch_jobs SET (autovacuum_enabled = off); ALTER TABLE hookswitch_events SET (autovacuum_enabled = off);
		ALTER TABLE hookswitch_records SET (autovacuum_enabled = off);
		INSERT INTO hookswitch_events (key, delivery_id, id, type, occurred_at, received_at, method, path, remote_addr, key_label, payload_off, payload_len, body, entity)
			SELECT 'k' || i, 'd' || i, 'i' || i, 'message.sent', '', now(), 'POST', '/', '', '', 0, -1, '', 'call:' || i % 50000 FROM generate_series(1, `+n+`) AS i;
		INSERT INTO hookswitch_records (seq, type, received_at, handled, bytes) SELECT seq, type, received_at, true, 1000 FROM hookswitch_events;
		INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, entity, order_at, round_at)
			SELECT seq, '`+target+`', 'pending', now(), entity, now(), now() FROM hookswitch_events`)
}

// Tables that have grown are analysed at once, and not when autovacuum comes.
func TestStatistics(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	db := mustOpen(t, postgres.Config{URL: url})
	backlog(t, server, url, "20000")
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for deadline := time.Now().Add(time.Minute); ; {
		var n int
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stats WHERE tablename = 'hookswitch_jobs' AND attname = 'entity'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("not analysed")
		}
		time.Sleep(50 * time.Millisecond)
	}
	if _, err := db.Claim(t.Context(), target, time.Now(), 10); err != nil {
		t.Error(err)
	}
}

// The server's log does not fill with warnings because of a role that may use
// the tables and does not own them.
func TestStatisticsOfOthers(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	if err := mustOpen(t, postgres.Config{URL: url}).Close(); err != nil { // which would analyse them
		t.Fatal(err)
	}
	backlog(t, server, url, "20000")
	server.Exec(t, url, `CREATE ROLE guest LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO guest`)
	conn, err := pgx.Connect(t.Context(), server.As(url, "guest", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var all, own int
	text := postgres.Outgrown
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM (`+text+`) AS t`).Scan(&own); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, url, `ALTER TABLE hookswitch_jobs OWNER TO guest`)
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM (`+text+`) AS t`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	if own != 0 || all != 1 {
		t.Errorf("%d tables of others are to be analysed, and %d of its own, want 0 and 1", own, all)
	}
}
