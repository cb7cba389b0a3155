package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// idle finds out that a target has nothing to do, as a dispatcher does before it
// waits. From then on events that come are claimed as they are stored.
func idle(t *testing.T, db *postgres.DB, target string) {
	t.Helper()
	if due, ok, err := db.NextDue(t.Context(), target); err != nil || ok {
		t.Fatalf("%s has work, due at %v, %v", target, due, err)
	}
}

// claimed returns the keys of what is claimed.
func claimed(t *testing.T, db *postgres.DB, limit int) (keys []string) {
	t.Helper()
	tasks, err := db.Claim(t.Context(), target, time.Now(), limit)
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		keys = append(keys, task.Event.Key)
	}
	return keys
}

func wantClaimed(t *testing.T, what string, db *postgres.DB, limit int, want ...string) {
	t.Helper()
	if got := claimed(t, db, limit); !slices.Equal(got, want) {
		t.Errorf("%s: claimed %v, want %v", what, got, want)
	}
}

// ownersOf returns how many jobs somebody has claimed, as the database has it.
func ownersOf(t *testing.T, url string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), `SELECT count(owner) FROM hookswitch_jobs`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Claiming what came while its target waited asks the database nothing: it is gone.
func TestFreshIsClaimedInMemory(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	db, other := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour}), mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	idle(t, db, target)
	for _, key := range []string{"1", "2", "3"} {
		accept(t, db, key, target)
	}
	if n := ownersOf(t, url); n != 3 {
		t.Errorf("%d jobs are claimed, want 3", n)
	}
	wantClaimed(t, "elsewhere", other, 10)
	server.Stop()
	t.Cleanup(func() { server.Run(t) }) // to be closed well
	if due, ok, err := db.NextDue(t.Context(), target); err != nil || !ok || due.After(time.Now()) {
		t.Errorf("next due %v, %v, %v; want now", due, ok, err)
	}
	wantClaimed(t, "first", db, 2, "1", "2")
	wantClaimed(t, "then", db, 2, "3")
	wantClaimed(t, "at last", db, 2)
	idle(t, db, target)
}

// A result of what was claimed so is as any other.
func TestFreshIsFinished(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	idle(t, db, target)
	accept(t, db, "1", target)
	tasks, err := db.Claim(t.Context(), target, time.Now(), 1)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	due := time.Now().Add(time.Hour)
	again := done(tasks[0])
	again.Outcome = delivery.OutcomeRetry
	if err := db.Finish(t.Context(), again, delivery.Pending, due); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := db.NextDue(t.Context(), target); err != nil || !ok || got.Sub(due).Abs() > time.Millisecond {
		t.Errorf("next due %v, %v, %v; want %v", got, ok, err, due)
	}
	if n := ownersOf(t, url); n != 0 {
		t.Errorf("%d jobs are still claimed", n)
	}
	accept(t, db, "2", target) // what is due later keeps nobody waiting
	if n := ownersOf(t, url); n != 1 {
		t.Errorf("%d jobs are claimed at once, want 1", n)
	}
}

// Only what nothing waits before is claimed at once.
func TestFreshOvertakesNothing(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	db, other := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour}), mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	idle(t, db, target)
	ordered := newEvent("ordered")
	ordered.Entity = "call:1"
	if _, err := db.Accept(t.Context(), ordered, []string{target}); err != nil {
		t.Fatal(err)
	}
	accept(t, db, "behind it", target)
	if n := ownersOf(t, url); n != 0 {
		t.Errorf("%d jobs are claimed, want none: one has an entity, one is behind it", n)
	}
	if got := claimed(t, db, 10); len(got) != 2 {
		t.Errorf("claimed %v, want both", got)
	}

	idle(t, db, target)
	accept(t, other, "elsewhere", target) // nobody has told of it yet
	accept(t, db, "here", target)
	if got := claimed(t, db, 1); len(got) != 1 {
		t.Errorf("claimed %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = db.Watch(ctx, func([]string) {}) }()
	await(t, "what came elsewhere", func() bool { db.Beat(); return slices.Contains(claimed(t, db, 10), "elsewhere") })
}

// A target that is down, or busy, keeps nothing from the others.
func TestFreshIsGivenBack(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	db, other := mustOpen(t, postgres.Config{URL: url}), mustOpen(t, postgres.Config{URL: url})
	idle(t, db, target)
	accept(t, db, "1", target)
	accept(t, db, "2", target)
	wantClaimed(t, "here", db, 1, "1")
	var got []string
	await(t, "the other to have it", func() bool { got = append(got, claimed(t, other, 10)...); return len(got) > 0 })
	if !slices.Equal(got, []string{"2"}) {
		t.Errorf("the other got %v, want the one that was not taken", got)
	}
	wantClaimed(t, "again", db, 10)
	accept(t, db, "3", target)
	if n := ownersOf(t, url); n != 2 {
		t.Errorf("%d jobs are claimed, want 2: nobody here waits for more", n)
	}
}

// No webhook waits while claims are compared, or given back: it is anybody's then. Nor
// is more claimed at once than memory is to hold.
func TestFreshThatIsNotClaimed(t *testing.T) {
	url := pgtest.Start(t).Database(t)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	idle(t, db, target)
	open, err := db.ShutGate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	accept(t, db, "1", target)
	open()
	if n := ownersOf(t, url); n != 0 {
		t.Errorf("%d jobs are claimed behind the gate", n)
	}
	wantClaimed(t, "then", db, 10, "1")

	idle(t, db, target)
	for i := range 6 { // a target gets half of 32 MiB
		e := newEvent(fmt.Sprint("large ", i))
		e.Body = make([]byte, 5<<20)
		if _, err := db.Accept(t.Context(), e, []string{target}); err != nil {
			t.Fatal(err)
		}
	}
	if n := ownersOf(t, url); n != 1+3 {
		t.Errorf("%d jobs are claimed, want the one from before and 3 that fit", n)
	}
	if got := claimed(t, db, 10); len(got) != 6 {
		t.Errorf("claimed %v, want all", got)
	}
}

func TestFreshOfOneThatIsGone(t *testing.T) {
	server := pgtest.Start(t)
	for _, tt := range []struct {
		name string
		end  func(*postgres.DB)
	}{
		{"killed", (*postgres.DB).Kill},
		{"closed", func(db *postgres.DB) { _ = db.Close() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			url := server.Database(t)
			db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second})
			other := mustOpen(t, postgres.Config{URL: url, LeaseTTL: 2 * time.Second})
			idle(t, db, target)
			accept(t, db, "1", target)
			tt.end(db)
			await(t, "the other to have it", func() bool { return slices.Equal(claimed(t, other, 10), []string{"1"}) })
		})
	}
}

// One that was taken for dead leaves to the others what it has not begun.
func TestFreshThatOthersTookOver(t *testing.T) {
	server := pgtest.Start(t)
	url := server.Database(t)
	db := mustOpen(t, postgres.Config{URL: url, LeaseTTL: time.Hour})
	idle(t, db, target)
	accept(t, db, "1", target)
	server.Exec(t, url, `UPDATE hookswitch_jobs SET owner = 'another'`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	looked := make(chan []string, 100)
	go func() { _ = db.Watch(ctx, func(targets []string) { looked <- targets }) }()
	<-looked // it listens
	server.Exec(t, url, `INSERT INTO hookswitch_jobs (event_seq, target, state, next_at, order_at, round_at) SELECT seq, 'plugin:sign', 'pending', now(), now(), now() FROM hookswitch_events`)
	db.Beat()
	for targets := range looked { // the end of a beat
		if slices.Contains(targets, "plugin:sign") {
			break
		}
	}
	wantClaimed(t, "what another has", db, 10)
}

// What was claimed by a statement whose answer was lost must not be nobody's.
func TestFreshThatLanded(t *testing.T) {
	server := pgtest.Start(t)
	for _, times := range []int{1, -1} {
		p := startProxy(t, server)
		db := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
		idle(t, db, target)
		p.Arm(true, times)
		_, err := db.Accept(t.Context(), newEvent("1"), []string{target})
		if cuts := p.Disarm(); cuts == 0 || (err == nil) != (times == 1) {
			t.Fatalf("accept: %v after %d cuts", err, cuts)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() { _ = db.Watch(ctx, func([]string) {}) }()
		await(t, "its claim", func() bool {
			if times < 0 {
				db.Beat() // the first may have failed as well
			}
			return slices.Equal(claimed(t, db, 10), []string{"1"})
		})
	}
}

// After the clock was set back nothing that was claimed in memory waits for it.
func TestFreshAfterTheClockWasSetBack(t *testing.T) {
	db := mustOpen(t, postgres.Config{URL: pgtest.Start(t).Database(t), LeaseTTL: time.Hour})
	idle(t, db, target)
	accept(t, db, "1", target)
	back := time.Now().Add(-time.Hour)
	if moved, err := db.Reschedule(t.Context(), target, back, delivery.Schedule{time.Minute}); err != nil || moved != 1 {
		t.Errorf("moved %d, %v; want the one", moved, err)
	}
	if due, ok, err := db.NextDue(t.Context(), target); err != nil || !ok || due.After(back) {
		t.Errorf("next due %v, %v, %v; want at most %v", due, ok, err, back)
	}
}
