package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

const target = "plugin:archive"

func newEvent(key string) *store.Event {
	return &store.Event{
		Key: key, ID: key, Type: "message.sent", ReceivedAt: time.Now().Add(-time.Minute), Method: "POST",
		Body: []byte(`{"data":{"payload":{}}}`), PayloadLen: -1,
	}
}

func done(task store.Task) store.Attempt {
	return store.Attempt{JobID: task.Job.ID, Target: task.Job.Target, N: task.Job.Attempts + 1,
		StartedAt: time.Now(), FinishedAt: time.Now(), Outcome: store.OutcomeDone}
}

// write is a change of the store, with what it needs before and what must hold
// after. do is repeated as callers do, and says how it went; state describes
// what is stored, so that one can see that nothing changes twice.
type write struct {
	name    string
	prepare func(t *testing.T, db *postgres.DB)
	do      func(ctx context.Context, db *postgres.DB) error
	state   func(t *testing.T, db *postgres.DB) string
	want    string // state after it
}

// writes are all changes that the contract knows.
func writes() []write {
	var task store.Task
	claimed := func(t *testing.T, db *postgres.DB) {
		accept(t, db, "1", target)
		tasks, err := db.Claim(t.Context(), target, time.Now(), 10)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claimed %v, %v", tasks, err)
		}
		task = tasks[0]
	}
	dead := func(t *testing.T, db *postgres.DB) {
		claimed(t, db)
		a := done(task)
		a.Outcome, a.Error = store.OutcomeDead, "no"
		if err := db.Finish(t.Context(), a, store.Dead, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	replaying := func(t *testing.T, db *postgres.DB) {
		dead(t, db)
		if err := db.CreateReplay(t.Context(), &store.Replay{ID: "r"}); err != nil {
			t.Fatal(err)
		}
	}
	recorded := store.Attempt{Target: target, Outcome: store.OutcomeDone, StartedAt: time.Unix(1, 0), FinishedAt: time.Unix(2, 0)}
	return []write{
		{"accept", nothing, func(ctx context.Context, db *postgres.DB) error {
			_, err := db.Accept(ctx, newEvent("1"), []string{target})
			return err
		}, events, "1: [pending 0+0]"},
		{"record", nothing, func(ctx context.Context, db *postgres.DB) error {
			_, err := db.Record(ctx, newEvent("1"), recorded, []string{"plugin:other"})
			return err
		}, events, "1: [pending 0+0 done 1+1]"},
		{"finish", claimed, func(ctx context.Context, db *postgres.DB) error {
			return db.Finish(ctx, done(task), store.Done, time.Time{})
		}, events, "1: [done 1+1]"},
		{"release", claimed, func(ctx context.Context, db *postgres.DB) error {
			return db.Release(ctx, task.Job.ID)
		}, func(t *testing.T, db *postgres.DB) string {
			_, free, err := db.NextDue(t.Context(), target)
			return fmt.Sprint(free, err)
		}, "true <nil>"},
		{"discard", dead, func(ctx context.Context, db *postgres.DB) error {
			_, err := db.Discard(ctx, store.Query{})
			return err
		}, events, "1: [discarded 1+1]"},
		{"create replay", dead, func(ctx context.Context, db *postgres.DB) error {
			return db.CreateReplay(ctx, &store.Replay{ID: "r"})
		}, replays, "running seen 0 queued 0 of 1"},
		{"step replay", replaying, func(ctx context.Context, db *postgres.DB) error {
			_, _, err := db.StepReplay(ctx, "r", 10)
			return err
		}, func(t *testing.T, db *postgres.DB) string { return replays(t, db) + ", " + events(t, db) },
			"done seen 1 queued 1 of 1, 1: [pending 1+1 round 1]"},
		{"cancel replay", replaying, func(ctx context.Context, db *postgres.DB) error {
			_, err := db.CancelReplay(ctx, "r")
			return err
		}, replays, "cancelled seen 0 queued 0 of 1"},
		{"prune", dead, func(ctx context.Context, db *postgres.DB) error {
			_, err := db.Prune(ctx, store.Retention{DeadBefore: time.Now()}, 10)
			return err
		}, events, ""},
		{"save route", nothing, func(ctx context.Context, db *postgres.DB) error {
			return db.SaveRoute(ctx, store.Route{Target: target, Patterns: []string{"*"}})
		}, func(t *testing.T, db *postgres.DB) string {
			routes, err := db.Routes(t.Context())
			return fmt.Sprint(routes, err)
		}, "[{" + target + " [*]}] <nil>"},
		{"ping", nothing, func(ctx context.Context, db *postgres.DB) error { return db.Ping(ctx) },
			events, ""},
	}
}

func nothing(*testing.T, *postgres.DB) {}

func accept(t testing.TB, db *postgres.DB, key string, targets ...string) {
	t.Helper()
	if _, err := db.Accept(t.Context(), newEvent(key), targets); err != nil {
		t.Fatal(err)
	}
}

// events describes all events: the states of their jobs, attempts as counted
// and as kept.
func events(t *testing.T, db *postgres.DB) string {
	t.Helper()
	page, err := db.Events(t.Context(), store.Query{}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, d := range page.Deliveries {
		whole, err := db.Delivery(t.Context(), d.Event.DeliveryID)
		if err != nil {
			t.Fatal(err)
		}
		var jobs []string
		for _, j := range whole.Jobs {
			kept := 0
			for _, a := range whole.Attempts {
				if a.JobID == j.ID {
					kept++
				}
			}
			text := fmt.Sprintf("%s %d+%d", j.State, j.Attempts, kept)
			if j.Round > 0 {
				text += fmt.Sprintf(" round %d", j.Round)
			}
			jobs = append(jobs, text)
		}
		lines = append(lines, fmt.Sprintf("%s: %v", d.Event.Key, jobs))
	}
	return strings.Join(lines, "; ")
}

func replays(t *testing.T, db *postgres.DB) string {
	t.Helper()
	list, err := db.Replays(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range list {
		lines = append(lines, fmt.Sprintf("%s seen %d queued %d of %d", r.State, r.Seen, r.Queued, r.Total))
	}
	return strings.Join(lines, "; ")
}

// Every write is made while its commits are lost, and while they happen but are
// reported lost: once, which the store mends by itself, and for as long as it
// tries, which its caller has to mend by repeating.
func TestEveryWriteLostAndLanded(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("", func(t *testing.T) {
		for _, f := range []fault{lost, landed} {
			for _, times := range []int{1, -1} {
				for i := range writes() {
					w := writes()[i]
					t.Run(fmt.Sprintf("%s %v times %d", w.name, map[fault]string{lost: "lost", landed: "landed"}[f], times), func(t *testing.T) {
						t.Parallel()
						p := startProxy(t, server)
						db := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
						w.prepare(t, db)
						before := w.state(t, db)
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						defer cancel()
						p.arm(f, times)
						err := w.do(ctx, db)
						if cuts := p.disarm(); cuts == 0 {
							t.Fatal("no commit was cut off")
						}
						switch {
						case times == 1 && err != nil:
							t.Errorf("one lost connection was not mended: %v", err)
						case times < 0 && err == nil:
							t.Error("a write without any answer of the server was reported as done")
						}
						if got := w.state(t, db); times < 0 && got != before && got != w.want {
							t.Errorf("after the error: %q, which is neither %q nor %q", got, before, w.want)
						}
						if err := w.do(ctx, db); err != nil && times < 0 {
							t.Errorf("the repetition failed: %v", err)
						}
						if got := w.state(t, db); got != w.want {
							t.Errorf("after the repetition: %q, want %q", got, w.want)
						}
					})
				}
			}
		}
	})
}

// An event whose commit landed is no duplicate of itself, unless the caller
// sends it again.
func TestAcceptThatLandedIsNoDuplicateOfItself(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server)
	db := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
	accept(t, db, "0") // opens the connection
	p.arm(landed, 1)
	e := newEvent("1")
	got, err := db.Accept(t.Context(), e, []string{target})
	if err != nil || got.Duplicate || got.DeliveryID == "" || p.disarm() != 1 {
		t.Errorf("accept %+v, %v", got, err)
	}
	if d, err := db.Delivery(t.Context(), "1"); err != nil || d.Event.Duplicates != 0 || d.Event.DeliveryID != e.DeliveryID {
		t.Errorf("stored %+v, %v", d.Event, err)
	}
}

// A claim whose answer was lost must not keep its jobs for ever.
func TestClaimThatLandedIsGivenBack(t *testing.T) {
	server := pgtest.Start(t)
	for _, entity := range []string{"", "call:1"} {
		p := startProxy(t, server)
		db := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
		e := newEvent("1")
		e.Entity = entity
		if _, err := db.Accept(t.Context(), e, []string{target}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go func() { _ = db.Watch(ctx, func([]string) {}) }()
		p.arm(landed, -1)
		tasks, err := db.Claim(ctx, target, time.Now(), 1)
		if cuts := p.disarm(); len(tasks) != 0 || err == nil || cuts == 0 {
			t.Fatalf("claimed %v, %v", tasks, err)
		}
		for len(tasks) == 0 {
			if tasks, err = db.Claim(ctx, target, time.Now(), 1); err != nil {
				t.Fatal(err)
			}
			db.Beat()
		}
	}
}

// The server is restarted under load: what was acknowledged is there, and the
// store goes on by itself.
func TestServerIsRestarted(t *testing.T) {
	server := pgtest.Start(t)
	const secret = "correct-horse"
	url := strings.Replace(server.Database(t), "?", "?password="+secret+"&", 1)
	db := mustOpen(t, postgres.Config{URL: url})
	var mu sync.Mutex
	acked := make(map[string]bool)
	stop := make(chan struct{})
	var load sync.WaitGroup
	for producer := range 8 {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("%d-%d", producer, n)
				ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
				_, err := db.Accept(ctx, newEvent(key), []string{target})
				cancel()
				if err == nil {
					mu.Lock()
					acked[key] = true
					mu.Unlock()
				} else if strings.Contains(err.Error(), secret) {
					t.Errorf("the password is in %q", err)
				}
			}
		})
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acked)
	}
	grow := func(by int) {
		deadline := time.Now().Add(time.Minute)
		for want := count() + by; count() < want; {
			if time.Now().After(deadline) {
				t.Fatal("accepts do not go on")
			}
			_ = db.Ping(t.Context())
		}
	}
	grow(200)
	for _, end := range []func(){server.Stop, server.Kill} {
		end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := db.Ping(ctx)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "cannot be reached") || strings.Contains(err.Error(), secret) {
			t.Errorf("ping without a server: %v", err)
		}
		server.Run(t)
		grow(200)
	}
	close(stop)
	load.Wait()
	for key := range acked {
		if _, err := db.Delivery(t.Context(), key); err != nil {
			t.Errorf("event %s was acknowledged: %v", key, err)
		}
	}
	t.Logf("%d events acknowledged around two restarts", len(acked))
}

func TestOpenErrors(t *testing.T) {
	server := pgtest.Start(t)
	good := server.Database(t)
	for name, c := range map[string]struct{ url, want string }{
		"not a URL":   {"postgres://user:s3cret@host:port/db", "postgres://USER"},
		"nobody":      {"postgres://user:s3cret@127.0.0.1:1/db", "cannot be reached"},
		"no database": {strings.Replace(good, "/test1?", "/missing?password=s3cret&", 1), "create the database"},
		"no user":     {strings.Replace(good, "user=hookswitch", "user=stranger&password=s3cret", 1), "HOOKSWITCH_STORE"},
	} {
		_, err := postgres.Open(t.Context(), postgres.Config{URL: c.url})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a hint at %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the password is in %q", name, err)
		}
	}
}
