package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// A database that cannot hold every letter keeps them all the same.
func TestOtherEncodings(t *testing.T) {
	server := pgtest.Start(t)
	for _, encoding := range []string{"EUC_JP", "LATIN1", "SQL_ASCII"} {
		t.Run(encoding, func(t *testing.T) {
			log, said := logged()
			db := mustOpen(t, postgres.Config{Log: log, URL: server.Database(t, "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING '"+encoding+"'")})
			lifeOf(t, db, encoding)
			if !strings.Contains(said.String(), "postgres-encoding") {
				t.Errorf("not said:\n%s", said)
			}
			if _, _, err := db.Deliveries(t.Context(), store.Filter{AttemptsContains: "😀", WebhookContains: "😀", EventTypes: []string{"😀"}}); err != nil {
				t.Errorf("search: %v", err)
			}
		})
	}
}

// A result that the server refuses as data is recorded without its text, and
// those beside it as they are.
func TestRefusedResult(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: url, Log: log})
	server.Exec(t, url, `
		CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.error LIKE '%€%' OR NEW.error LIKE '%never%' OR NEW.response_header LIKE '%ж%' THEN RAISE EXCEPTION 'no' USING ERRCODE = '22P05'; END IF;
			RETURN NEW;
		END $$;
		CREATE TRIGGER refuse BEFORE INSERT ON hookswitch_attempts FOR EACH ROW EXECUTE FUNCTION refuse()`)
	want := map[string]string{"good": "good", "10 €": "10 €", "never": "the database refused the text of this result"}
	for i := range 3 {
		accept(t, db, fmt.Sprint(i), target)
	}
	tasks, err := db.Claim(t.Context(), target, time.Now(), 3)
	if err != nil || len(tasks) != 3 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	errs := make(chan error, 3)
	i := 0
	ids := make(map[string]string)
	for text := range want {
		a := done(tasks[i])
		a.Error, a.ResponseHeader, a.ResponseBody = text, [][2]string{{"X", "ж" + text}}, []byte(text)
		ids[text] = tasks[i].Event.ID
		go func() { errs <- db.Finish(t.Context(), a, delivery.Done, time.Time{}) }()
		i++
	}
	for range want {
		if err := <-errs; err != nil {
			t.Errorf("finish: %v", err)
		}
	}
	for text, recorded := range want {
		d, err := db.Delivery(t.Context(), ids[text])
		if err != nil || d.Jobs[0].State != delivery.Done || len(d.Attempts) != 1 || d.Attempts[0].Error != recorded {
			t.Errorf("%s: recorded %+v, %v", text, d, err)
		}
	}
	if !strings.Contains(said.String(), "text-refused") {
		t.Errorf("not said:\n%s", said)
	}
}

// What a role may not do is said with the remedy that is right for it.
func TestPrivileges(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	server.Exec(t, url, `CREATE SCHEMA app; CREATE SCHEMA secret;
		CREATE ROLE poor LOGIN; GRANT USAGE ON SCHEMA app TO poor; ALTER ROLE poor SET search_path = app;
		CREATE ROLE blind LOGIN; ALTER ROLE blind SET search_path = secret;
		CREATE ROLE lost LOGIN; ALTER ROLE lost SET search_path = nowhere`)
	for role, want := range map[string]string{
		"poor":  `GRANT CREATE, USAGE ON SCHEMA "app" TO "poor"`,
		"blind": `search_path (secret)`,
		"lost":  `search_path (nowhere)`,
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: server.As(url, role, "")})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "public") {
			t.Errorf("%s: %v, want %q", role, err, want)
		}
	}

	// With tables that are there, no CREATE is needed.
	owner := strings.Replace(url, "?", "?search_path=app&", 1)
	mustOpen(t, postgres.Config{URL: owner})
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: server.As(url, "poor", "")}); err == nil || !strings.Contains(err.Error(), `ON ALL TABLES IN SCHEMA "app" TO "poor"`) {
		t.Errorf("without rights on the tables: %v", err)
	}
	server.Exec(t, url, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA app TO poor`)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: server.As(url, "poor", ""), Log: log})
	lifeOf(t, db, "poor")
	accept(t, db, "hidden", "plugin:a")
	hidden, err := db.Claim(t.Context(), "plugin:a", time.Now(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Finish(t.Context(), done(hidden[0]), delivery.Done, time.Time{}); err != nil {
		t.Fatal(err)
	}
	server.Exec(t, url, `ALTER TABLE app.hookswitch_events ENABLE ROW LEVEL SECURITY`)
	if _, err := db.Accept(t.Context(), newEvent("1"), nil); err == nil || !strings.Contains(err.Error(), "row-level security") || strings.Contains(err.Error(), "GRANT") {
		t.Errorf("with row-level security: %v", err)
	}
	if strings.Contains(said.String(), "postgres-unsafe") {
		t.Errorf("said before:\n%s", said)
	}
	db = mustOpen(t, postgres.Config{URL: server.As(url, "poor", ""), Log: log})
	if !strings.Contains(said.String(), "postgres-unsafe") {
		t.Error("row-level security is not warned of")
	}
	storetest.Hidden(t, db, hidden[0].Event.DeliveryID)
}

// A server that does not sync loses what was acknowledged: that is said.
func TestServerWithoutSyncs(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	log, said := logged()
	mustOpen(t, postgres.Config{URL: url, Log: log})
	if strings.Contains(said.String(), "fsync") {
		t.Errorf("said of one that syncs:\n%s", said)
	}
	server.Set(t, "fsync", "off")
	await(t, "a warning of fsync=off", func() bool { // once the server has read the setting
		mustOpen(t, postgres.Config{URL: url, Log: log})
		return strings.Contains(said.String(), "fsync=off") && strings.Contains(said.String(), "code=postgres-unsafe")
	})
}

// A limit for idle sessions does not cut the connection that listens.
func TestIdleSessionTimeout(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	server.Exec(t, url, `CREATE ROLE brief LOGIN SUPERUSER; ALTER ROLE brief SET idle_session_timeout = '150ms'`)
	log, said := logged()
	one := mustOpen(t, postgres.Config{URL: server.As(url, "brief", ""), Log: log, LeaseTTL: time.Hour})
	woken := make(chan []string, 100)
	go func() { _ = one.Watch(t.Context(), func(targets []string) { woken <- targets }) }()
	<-woken // it listens
	two := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	await(t, "the connection that listens is idle for longer than it may", func() (is bool) {
		err := conn.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE query LIKE 'LISTEN %' AND state = 'idle' AND now() - state_change > '450ms'`).Scan(&is)
		return err == nil && is
	})
	accept(t, two, "1", target)
	deadline := time.After(time.Minute)
	for heard := false; !heard; {
		select {
		case targets := <-woken:
			heard = len(targets) == 1 && targets[0] == target
		case <-deadline:
			t.Fatal("not woken")
		}
	}
	accept(t, one, "2", target) // the sessions of the pool were cut
	if strings.Contains(said.String(), "watch-failed") {
		t.Errorf("the connection was cut:\n%s", said)
	}
}
