package postgres_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	neturl "net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/output"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// sessionDefaults are settings that somebody else may give our sessions, each
// with a value that is wrong for us, or odd.
var sessionDefaults = []string{
	"default_transaction_isolation = 'serializable'",
	"default_transaction_isolation = 'repeatable read'",
	"default_transaction_read_only = on",
	"default_transaction_deferrable = on",
	"synchronous_commit = off",
	"synchronous_commit = local",
	"commit_delay = 1000",
	"client_encoding = 'WIN1252'",
	"client_encoding = 'SQL_ASCII'",
	"client_min_messages = 'error'",
	"DateStyle = 'SQL, DMY'",
	"IntervalStyle = 'iso_8601'",
	"TimeZone = 'Asia/Kathmandu'",
	"bytea_output = 'escape'",
	"standard_conforming_strings = off",
	"backslash_quote = off",
	"array_nulls = off",
	"extra_float_digits = -15",
	"search_path = 'elsewhere', 'public'",
	"statement_timeout = '20s'",
	"lock_timeout = '20s'",
	"idle_in_transaction_session_timeout = '20s'",
	"idle_session_timeout = '200ms'",
	"row_security = off",
	"session_replication_role = 'replica'",
	"transform_null_equals = on",
	"quote_all_identifiers = on",
	"plan_cache_mode = 'force_generic_plan'",
	"plan_cache_mode = 'force_custom_plan'",
	"jit_above_cost = 0",
	"default_tablespace = 'missing'",
	"enable_indexscan = off",
	"enable_seqscan = off",
	"enable_nestloop = off",
	"enable_hashjoin = off",
	"work_mem = '64kB'",
	"lc_messages = 'C'",
	"default_toast_compression = 'pglz'",
	"check_function_bodies = off",
	"xmloption = 'document'",
}

// Whatever a role sets for its sessions, every transaction that changes a table
// is READ COMMITTED and waits for the disk, and what was stored comes back.
func TestSessionDefaults(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	mustOpen(t, postgres.Config{URL: url}) // makes the tables
	witness(t, server, url)
	for i, setting := range sessionDefaults {
		t.Run(setting, func(t *testing.T) {
			role := fmt.Sprintf("role%d", i)
			server.Exec(t, url, "CREATE ROLE "+role+" LOGIN SUPERUSER; ALTER ROLE "+role+" SET "+setting)
			db := mustOpen(t, postgres.Config{URL: server.As(url, role, "")})
			lifeOf(t, db, setting)
			if got := witnessed(t, url, role); !slices.Equal(got, []string{"on, read committed"}) {
				t.Errorf("committed with %q", got)
			}
		})
	}
}

// A schema may be called anything that PostgreSQL lets it be called.
func TestSchemaOfAnyName(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	server.Exec(t, url, `CREATE SCHEMA "o'd\d""x"; CREATE ROLE old LOGIN SUPERUSER; ALTER ROLE old SET standard_conforming_strings = off`)
	url += "&search_path=" + neturl.QueryEscape(`"o'd\d""x",public`)
	for _, user := range []string{"hookswitch", "old"} {
		lifeOf(t, mustOpen(t, postgres.Config{URL: server.As(url, user, "")}), user)
	}
	server.Exec(t, url, `SELECT * FROM "o'd\d""x".hookswitch_events`)
}

// witness makes the server note, at the end of each transaction that changes a
// table, how it is committed.
func witness(t *testing.T, server *pgtest.Server, url string) {
	text := `
CREATE SCHEMA elsewhere;
CREATE TABLE public.seen (who text, how text);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
	INSERT INTO public.seen VALUES (session_user, current_setting('synchronous_commit') || ', ' || current_setting('transaction_isolation'));
	RETURN NULL;
END $$;`
	for _, table := range []string{"events", "jobs", "attempts", "records", "owners", "replays", "routes"} {
		text += fmt.Sprintf(`
CREATE CONSTRAINT TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON hookswitch_%[1]s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.see();
ALTER TABLE hookswitch_%[1]s ENABLE ALWAYS TRIGGER see;`, table)
	}
	server.Exec(t, url, text)
}

func witnessed(t *testing.T, url, who string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT DISTINCT how FROM public.seen WHERE who = $1`, who)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// lifeOf takes events with text of all kinds through everything that a store
// does.
func lifeOf(t *testing.T, db *postgres.DB, name string) {
	t.Helper()
	ctx := t.Context()
	const odd = `naïve Á € 😀 ж NULL \ ' " {}`
	to := "plugin:" + strings.ReplaceAll(name, " ", "")
	e := &delivery.Event{
		Key: name + odd, ID: name + odd, Type: "message.sent", OccurredAt: odd, Method: http.MethodPost, Path: "/" + odd,
		ReceivedAt: time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC), Header: [][2]string{{"X-Odd", odd}, {"X-Raw", "\xff"}},
		Body: []byte("\x00\xff" + odd), PayloadLen: -1, Entity: "call:" + odd,
	}
	if _, err := db.Accept(ctx, e, []string{to}); err != nil {
		t.Fatal(err)
	}
	if again, err := db.Accept(ctx, e, []string{to}); err != nil || !again.Duplicate {
		t.Errorf("accepted again: %+v, %v", again, err)
	}
	claim := func() delivery.Task {
		t.Helper()
		tasks, err := db.Claim(ctx, to, time.Now(), 1)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claimed %d, %v", len(tasks), err)
		}
		return tasks[0]
	}
	task := claim()
	if got := task.Event; got.ID != e.ID || !bytes.Equal(got.Body, e.Body) || !slices.Equal(got.Header, e.Header) ||
		!got.ReceivedAt.Equal(e.ReceivedAt) || got.OccurredAt != odd || got.Path != e.Path || got.Entity != e.Entity {
		t.Errorf("claimed %+v", got)
	}
	if err := db.Release(ctx, task); err != nil {
		t.Fatal(err)
	}
	a := done(claim())
	a.Outcome, a.RetryAfter, a.Error, a.RequestURL = delivery.OutcomeDone, 1500*time.Millisecond, odd, "http://app/"+odd
	a.ResponseHeader, a.ResponseBody = [][2]string{{"X-Odd", odd}}, []byte("\x00"+odd)
	if err := db.Finish(ctx, a, delivery.Done, time.Time{}); err != nil {
		t.Fatal(err)
	}
	d, err := db.Delivery(ctx, e.ID)
	if err != nil || len(d.Attempts) != 1 {
		t.Fatalf("delivery %+v, %v", d, err)
	}
	if got := d.Attempts[0]; got.Error != odd || got.RequestURL != a.RequestURL || !slices.Equal(got.ResponseHeader, a.ResponseHeader) ||
		!bytes.Equal(got.ResponseBody, a.ResponseBody) || got.RetryAfter != a.RetryAfter || d.Event.Duplicates != 1 {
		t.Errorf("recorded %+v", got)
	}
	r := &store.Replay{Query: store.Query{IDs: []string{e.ID}}, Targets: []string{to}}
	if err := db.CreateReplay(ctx, r); err != nil {
		t.Fatal(err)
	}
	if after, _, err := db.StepReplay(ctx, r.ID, 10); err != nil || after.Queued != 1 {
		t.Errorf("replayed %+v, %v", after, err)
	}
	if _, err := db.Record(ctx, &delivery.Event{Key: "recorded " + name, ReceivedAt: time.Now(), PayloadLen: -1},
		delivery.Attempt{Target: "forward:x", StartedAt: time.Now(), Outcome: delivery.OutcomeDone, Error: odd}, []string{to}); err != nil {
		t.Error(err)
	}
	if err := db.SaveRoute(ctx, store.Route{Target: to, Patterns: []string{odd}}); err != nil {
		t.Error(err)
	}
	if _, err := db.Prune(ctx, store.Retention{Before: time.Now(), DeadBefore: time.Now()}, 10); err != nil {
		t.Error(err)
	}
	if _, err := db.Stats(ctx); err != nil {
		t.Error(err)
	}
	if err := db.Ping(ctx); err != nil {
		t.Error(err)
	}
}

// logged returns a logger and what it has written.
func logged() (*slog.Logger, *output.Buffer) {
	b := new(output.Buffer)
	return slog.New(slog.NewTextHandler(b, nil)), b
}
