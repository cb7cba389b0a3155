package postgres_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// Through PgBouncer in transaction mode, with a server that does not sync by
// itself and other clients that leave their settings behind, every commit is as
// it must be.
func TestEdgePoolerInTransactionMode(t *testing.T) {
	edges.Need(t)
	server := pgtest.Start(t)
	url := server.Database(t)
	mustOpen(t, postgres.Config{URL: url})
	witness(t, server, url)
	server.Exec(t, url, `ALTER DATABASE `+strings.Split(url[len("postgres:///"):], "?")[0]+` SET synchronous_commit = off`)
	pooled := server.PgBouncer(t, url, "pool_mode=transaction", "default_pool_size=4")

	log, said := logged()
	one := mustOpen(t, postgres.Config{URL: pooled, Log: log})
	if !strings.Contains(said.String(), "postgres-pooler") || !strings.Contains(said.String(), "transaction mode") {
		t.Errorf("the pooler is not named:\n%s", said)
	}
	two := mustOpen(t, postgres.Config{URL: pooled, LeaseTTL: time.Hour}) // beats when it should not matter
	spoil(t, pooled)
	for _, name := range []string{"a", "b", "c"} {
		lifeOf(t, one, name)
		lifeOf(t, two, name+"2")
	}
	if got := witnessed(t, url, "hookswitch"); !slices.Equal(got, []string{"on, read committed"}) {
		t.Errorf("committed with %q", got)
	}

	// Notices do not arrive there: the work of others is found by looking.
	woken := make(chan []string, 100)
	go func() { _ = two.Watch(t.Context(), func(targets []string) { woken <- targets }) }()
	accept(t, one, "polled", "plugin:polled")
	deadline := time.After(time.Minute)
	for found := false; !found; {
		select {
		case targets := <-woken:
			found = slices.Contains(targets, "plugin:polled")
		case <-deadline:
			t.Fatal("the work of the other is not found")
		}
	}
}

// spoil leaves settings behind in all sessions of a pool.
func spoil(t *testing.T, url string) {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	for range 4 {
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(t.Context()) })
		if _, err := conn.Exec(t.Context(), `BEGIN; SET synchronous_commit = off; SET search_path = elsewhere;
			SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY; SELECT 1`); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := conn.Exec(t.Context(), `COMMIT`); err != nil {
				t.Error(err)
			}
		}()
	}
}

// The contract holds through a pooler.
func TestEdgePoolerContract(t *testing.T) {
	edges.Need(t)
	if !edges.Long() {
		t.Skip("the whole contract takes a minute: \"make edges\" runs it")
	}
	server := pgtest.Start(t)
	t.Run("", func(t *testing.T) {
		urls := make(map[string]string)
		storetest.Run(t, func(t *testing.T, dir string) store.Store {
			if urls[dir] == "" {
				urls[dir] = server.PgBouncer(t, server.Database(t), "pool_mode=transaction")
			}
			return mustOpen(t, postgres.Config{URL: urls[dir]})
		})
	})
}

// A pool in session mode is like a server; one in statement mode is refused.
func TestEdgeOtherPoolModes(t *testing.T) {
	edges.Need(t)
	server := pgtest.Start(t)
	url := server.Database(t)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: server.PgBouncer(t, url, "pool_mode=session"), Log: log})
	lifeOf(t, db, "session")
	if strings.Contains(said.String(), "postgres-pooler") {
		t.Errorf("taken for one in transaction mode:\n%s", said)
	}
	_, err := postgres.Open(t.Context(), postgres.Config{URL: server.PgBouncer(t, url, "pool_mode=statement")})
	if err == nil || !strings.Contains(err.Error(), "transaction or session mode") {
		t.Errorf("in statement mode: %v", err)
	}
}
