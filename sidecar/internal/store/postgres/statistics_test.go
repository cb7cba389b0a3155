package postgres_test

import (
	"context"
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
		INSERT INTO hookswitch_records (seq, type, received_at, handled, bytes) SELECT seq, type, received_at, true, 1000 FROM hookswitch_events WHERE key LIKE 'k%';
		INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, entity, order_at, round_at)
			SELECT seq, '`+target+`', 'pending', now(), entity, now(), now() FROM hookswitch_events WHERE key LIKE 'k%'`)
}

// Tables that have grown are analysed at once, and not when autovacuum comes;
// then they are left alone, as small ones are.
func TestStatistics(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	db := mustOpen(t, postgres.Config{URL: url})
	accept(t, db, "1", target)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	outgrown := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM (`+postgres.Outgrown+`) AS t`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := outgrown(); n != 0 {
		t.Errorf("%d tables with a row or none are to be analysed", n)
	}
	backlog(t, server, url, "20000")
	await(t, "the statistics of jobs", func() (are bool) {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'hookswitch_jobs' AND attname = 'entity'`).Scan(&are); err != nil {
			t.Fatal(err)
		}
		return are
	})
	await(t, "nothing more to analyse", func() bool { return outgrown() == 0 })
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
