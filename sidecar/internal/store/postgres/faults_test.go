package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

const target = "plugin:archive"

func newEvent(key string) *delivery.Event {
	return &delivery.Event{
		Key: key, ID: key, Type: "message.sent", ReceivedAt: time.Now().Add(-time.Minute), Method: "POST",
		Body: []byte(`{"data":{"payload":{}}}`), PayloadLen: -1,
	}
}

func done(task delivery.Task) delivery.Attempt {
	return delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: task.Job.Attempts + 1,
		StartedAt: time.Now(), FinishedAt: time.Now(), Outcome: delivery.OutcomeDone}
}

func accept(t testing.TB, db *postgres.DB, key string, targets ...string) {
	t.Helper()
	if _, err := db.Accept(t.Context(), newEvent(key), targets); err != nil {
		t.Fatal(err)
	}
}

// Every write while its commits are lost, and while they are reported lost.
func TestFaults(t *testing.T) {
	server := pgtest.Start(t)
	t.Run("", func(t *testing.T) { // ends before the server does
		storetest.RunFaults(t, true, func(t *testing.T) (store.Store, storetest.Faults) {
			p := startProxy(t, server)
			return mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour}), p
		})
	})
}

// An event whose commit landed is no duplicate of itself, unless the caller
// sends it again.
func TestAcceptThatLandedIsNoDuplicateOfItself(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server)
	db := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
	accept(t, db, "0") // opens the connection
	p.Arm(true, 1)
	e := newEvent("1")
	got, err := db.Accept(t.Context(), e, []string{target})
	if err != nil || got.Duplicate || got.DeliveryID == "" || p.Disarm() != 1 {
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
		p.Arm(true, -1)
		tasks, err := db.Claim(ctx, target, time.Now(), 1)
		if cuts := p.Disarm(); len(tasks) != 0 || err == nil || cuts == 0 {
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

// A job that is given back wakes the others at once, whatever becomes of the
// commit: with this lease nothing else would.
func TestReleaseWakesTheOthers(t *testing.T) {
	server := pgtest.Start(t)
	const given = "plugin:given"
	for _, tt := range []struct {
		name    string
		happens bool
		cuts    int
	}{{"well", false, 0}, {"landed", true, 1}, {"lost", false, 1}, {"lost for good", false, -1}} {
		t.Run(tt.name, func(t *testing.T) {
			p := startProxy(t, server)
			other := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
			mine := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour}) // it knows of the other from the start
			woken := make(chan []string, 1000)
			go func() { _ = other.Watch(t.Context(), func(targets []string) { woken <- targets }) }()
			<-woken // it listens
			accept(t, other, "given", given)
			tasks, err := mine.Claim(t.Context(), given, time.Now(), 1)
			if err != nil || len(tasks) != 1 {
				t.Fatalf("claimed %d, %v", len(tasks), err)
			}
			p.Arm(tt.happens, tt.cuts)
			err = mine.Release(t.Context(), tasks[0])
			p.Disarm()
			if err != nil {
				if tt.cuts >= 0 {
					t.Errorf("release: %v", err)
				}
			}
			failed := err != nil
			deadline, beat := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
			defer beat.Stop()
			for told := false; !told; {
				select {
				case targets := <-woken:
					told = slices.Contains(targets, given)
				case <-beat.C:
					if failed { // the server may hold on to the job until it sees that the connection was cut
						mine.Beat()
					}
				case <-deadline:
					t.Fatal("not woken")
				}
			}
			if got, err := other.Claim(t.Context(), given, time.Now(), 10); err != nil || len(got) != 1 {
				t.Errorf("claimed %+v, %v", got, err)
			}
		})
	}
}

// The repetition of a release whose answer was lost takes nothing from a claim
// that has the job again meanwhile.
func TestReleaseThatLandedUndoesNoClaim(t *testing.T) {
	server := pgtest.Start(t)
	p := startProxy(t, server)
	mine := mustOpen(t, postgres.Config{URL: p.url, LeaseTTL: time.Hour})
	claimed := func() []delivery.Task {
		t.Helper()
		tasks, err := mine.Claim(t.Context(), target, time.Now(), 1)
		if err != nil {
			t.Fatal(err)
		}
		return tasks
	}
	accept(t, mine, "1", target)
	tasks := claimed()
	for range 20 {
		released := make(chan error, 1)
		p.Arm(true, 1)
		go func() { released <- mine.Release(t.Context(), tasks[0]) }()
		for !p.struck() {
			runtime.Gosched()
		}
		for tasks = nil; len(tasks) == 0; {
			tasks = claimed()
		}
		if err := <-released; err != nil {
			t.Fatal(err)
		}
		if again := claimed(); len(again) != 0 {
			t.Fatalf("claimed twice: %+v", again)
		}
	}
}

// What was given back can be claimed before Release has returned, and is not taken for
// what is held still: it would be nobody's until the lease gives it back.
func TestReleasedIsClaimedAtOnce(t *testing.T) {
	db := mustOpen(t, postgres.Config{URL: pgtest.Start(t).Database(t), LeaseTTL: time.Hour})
	accept(t, db, "1", target)
	for range 2 {
		tasks, err := db.Claim(t.Context(), target, time.Now(), 10)
		if err != nil || len(tasks) != 1 {
			t.Fatalf("claimed %d, %v", len(tasks), err)
		}
		if err := db.GiveBack(t.Context(), tasks[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// A Release whose caller had no time is left to the lease.
func TestReleaseWithoutTime(t *testing.T) {
	db := mustOpen(t, postgres.Config{URL: pgtest.Start(t).Database(t), LeaseTTL: time.Hour})
	accept(t, db, "1", target)
	tasks, err := db.Claim(t.Context(), target, time.Now(), 10)
	if err != nil || len(tasks) != 1 {
		t.Fatalf("claimed %d, %v", len(tasks), err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Release(gone, tasks[0]); !errors.Is(err, context.Canceled) {
		t.Errorf("release: %v", err)
	}
	await(t, "the job", func() bool { return len(claimed(t, db, 10)) == 1 })
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

// What a store that is being closed says about a server that is gone is what it
// leaves behind, and not that it goes on.
func TestClosedWithoutServer(t *testing.T) {
	server := pgtest.Start(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: server.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	err = db.Close()
	if err == nil || !strings.HasSuffix(err.Error(), "the server cannot be reached; the jobs of this process are free again in 15s") {
		t.Errorf("close: %v", err)
	}
	server.Run(t)
}

func TestOpenErrors(t *testing.T) {
	server := pgtest.Start(t)
	good := server.Database(t)
	silent := startFreezer(t, server)
	silent.frozen.Store(true)
	for name, c := range map[string]struct{ url, want string }{
		"silent":      {strings.Replace(hostsURL(t, good, silent.address), "sslmode=disable", "sslmode=prefer&connect_timeout=1&password=s3cret", 1), "takes connections and does not answer: restart it"},
		"not a URL":   {"postgres://user:s3cret@host:port/db", "postgres://USER"},
		"nobody":      {"postgres://user:s3cret@127.0.0.1:1/db", "cannot be reached: start it, or correct HOOKSWITCH_STORE, then restart the sidecar"},
		"no TLS":      {strings.Replace(hostsURL(t, good, startFreezer(t, server).address), "sslmode=disable", "sslmode=require&password=s3cret", 1), "a TLS connection to it fails"},
		"no host":     {"postgres://user:s3cret@hookswitch.invalid/db", "no such host: correct"},
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
		if err != nil && strings.Contains(err.Error(), "by itself when") {
			t.Errorf("%s: promises what it does not do: %v", name, err)
		}
	}
}
