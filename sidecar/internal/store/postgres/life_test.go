package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

// patience bounds every wait of these tests.
const patience = 30 * time.Second

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	for began := time.Now(); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func acceptMany(t *testing.T, db *postgres.DB, word string, n int) {
	t.Helper()
	for i := range n {
		e := &delivery.Event{Key: fmt.Sprint(word, i), ID: fmt.Sprint(word, i), ReceivedAt: time.Now(), PayloadLen: -1}
		if _, err := db.Accept(t.Context(), e, []string{"plugin:x"}); err != nil {
			t.Fatal(err)
		}
	}
}

func claimMany(t *testing.T, db *postgres.DB, n int) []delivery.Task {
	t.Helper()
	tasks, err := db.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), n)
	if err != nil || len(tasks) != n {
		t.Fatalf("claimed %d of %d, %v", len(tasks), n, err)
	}
	return tasks
}

// A backup is restored while events are under way that are newer than it, and
// their numbers go to others.
func TestRestoredWhileItRuns(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	log := new(output.Buffer)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))})
	acceptMany(t, db, "kept", 2)
	kept := claimMany(t, db, 2)
	backup := server.Dump(t, url)
	acceptMany(t, db, "lost", 5)
	lost := claimMany(t, db, 5)
	server.Restore(t, url, backup)
	acceptMany(t, db, "new", 5)

	tasks := claimMany(t, db, 5)
	for _, task := range tasks {
		if !strings.HasPrefix(task.Event.ID, "new") {
			t.Errorf("%s was claimed again", task.Event.ID)
		}
	}
	if tasks[0].Job.ID != lost[0].Job.ID {
		t.Fatalf("the numbers are not used again, %d and %d: nothing was tried", tasks[0].Job.ID, lost[0].Job.ID)
	}
	for _, task := range lost {
		a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: 1, Outcome: delivery.OutcomeDone}
		if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the result of %s: %v, want ErrNotFound", task.Event.ID, err)
		}
		if err := db.Release(t.Context(), task); err != nil {
			t.Errorf("release %s: %v", task.Event.ID, err)
		}
	}
	db.Beat()
	await(t, "a word of the other history", func() bool { return strings.Contains(log.String(), "code=store-renewed") })
	select {
	case <-db.Renewed():
	case <-time.After(patience):
		t.Error("nobody is told to write the routes again")
	}
	if n, err := db.Backlog(t.Context()); err != nil || n["plugin:x"] != 7 {
		t.Errorf("backlog %v, %v; want the 7 that the store has", n, err)
	}
	for _, task := range append(kept, tasks...) {
		a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: 1, Outcome: delivery.OutcomeDone}
		if err := db.Finish(t.Context(), a, delivery.Done, time.Time{}); err != nil {
			t.Errorf("the result of %s: %v", task.Event.ID, err)
		}
	}
}

// Some connections may lead to the old server: none is used after that, neither
// one of the pool nor the one that listens.
func TestRestoredConnectionsAreNew(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	woken := make(chan struct{}, 100)
	go func() { _ = db.Watch(t.Context(), func([]string) { woken <- struct{}{} }) }()
	<-woken // it listens
	backup := server.Dump(t, url)
	var old []int32
	if err := conn.QueryRow(t.Context(), `SELECT array_agg(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'hookswitch'`).Scan(&old); err != nil || len(old) < 2 {
		t.Fatalf("connections %v, %v", old, err)
	}
	server.Restore(t, url, backup)
	began := time.Now()
	db.Beat()
	<-db.Renewed()
	stay := func(which string, args ...any) (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1) AND `+which, append([]any{old}, args...)...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	// Those that lie idle in the pool from now on may stay. What was under way may
	// use one more.
	used := 0
	for range 3 {
		var now time.Time
		if err := conn.QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Backlog(t.Context()); err != nil {
			t.Fatal(err)
		}
		if stay(`query_start > $2`, now) > 0 {
			used++
		}
	}
	if used == 3 {
		t.Error("a connection from before is used")
	}
	await(t, "no listener from before", func() bool { return stay(`query ILIKE 'listen%'`) == 0 })
	if waited := time.Since(began); waited > patience/2 { // it would look by itself after that
		t.Errorf("the listener stayed for %v", waited)
	}
}

// A server that keeps the identity of its history to itself still shows that the
// tables are others.
func TestRestoredThoughTheServerTellsLittle(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	server.Exec(t, url, `CREATE ROLE plain LOGIN; GRANT ALL ON SCHEMA public TO plain; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC`)
	log, said := logged()
	db := mustOpen(t, postgres.Config{URL: server.As(url, "plain", ""), Log: log, LeaseTTL: 2 * time.Second})
	if n := strings.Count(said.String(), "does not say when a standby has become the primary"); n != 1 {
		t.Errorf("said %d times that the server does not tell:\n%s", n, said)
	}
	server.Restore(t, url, server.Dump(t, url))
	db.Beat()
	await(t, "a word of the other history", func() bool { return strings.Contains(said.String(), "code=store-renewed") })
}

// A standby may know a job but not its claim, or not the attempts that it has
// had.
func TestHeldAgainstTheDatabase(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	log := new(output.Buffer)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second, Log: slog.New(slog.NewTextHandler(log, nil))})
	other := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second})
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	run := func(text string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	owners := func() (n int) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), `SELECT count(owner) FROM hookswitch_jobs`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	claimNone := func(what string, db *postgres.DB) {
		t.Helper()
		if tasks, err := db.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), 10); err != nil || len(tasks) > 0 {
			t.Errorf("%s: %d were claimed, %v", what, len(tasks), err)
		}
	}
	acceptMany(t, db, "a", 2)
	tasks := claimMany(t, db, 2)

	run(`UPDATE hookswitch_jobs SET owner = NULL`)
	claimNone("what is held here", db)
	run(`UPDATE hookswitch_jobs SET owner = NULL`)
	db.Beat()
	await(t, "a claim of what is held", func() bool { return owners() == 2 })
	claimNone("what is held elsewhere", other)
	if strings.Contains(log.String(), "level=WARN") {
		t.Errorf("nothing was lost, but: %s", log)
	}

	// The first becomes another event's.
	run(`UPDATE hookswitch_events SET delivery_id = 'another', key = 'another' WHERE seq = $1`, tasks[0].Event.Seq)
	db.Beat()
	await(t, "a word of what is lost", func() bool { return strings.Contains(log.String(), "events=1") })
	await(t, "the other to have it", func() bool {
		got, err := other.Claim(t.Context(), "plugin:x", time.Now().Add(time.Hour), 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(got) == 1 && got[0].Event.DeliveryID == "another"
	})
	db.Beat()
	if owners() != 2 {
		t.Error("the claim of the second was given up as well")
	}
}
