package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// promises is what callers were told.
type promises struct {
	mu       sync.Mutex
	tried    []string        // guarded by mu: events that were given to Accept
	accepted map[string]bool // guarded by mu: and acknowledged
	finished map[string]bool // guarded by mu: and whose job was reported done
}

func newPromises() *promises {
	return &promises{accepted: make(map[string]bool), finished: make(map[string]bool)}
}

func (p *promises) accept(ctx context.Context, db *sqlite.DB, key string, counts func() bool) {
	p.mu.Lock()
	p.tried = append(p.tried, key)
	p.mu.Unlock()
	if _, err := db.Accept(ctx, newEvent(key), []string{"plugin:a"}); err == nil && counts() {
		p.mu.Lock()
		p.accepted[key] = true
		p.mu.Unlock()
	}
}

func (p *promises) finish(ctx context.Context, db *sqlite.DB, limit int, counts func() bool) {
	tasks, err := db.Claim(ctx, "plugin:a", time.Now(), limit)
	if err != nil {
		return
	}
	for _, task := range tasks {
		a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: task.Job.Attempts + 1, Outcome: delivery.OutcomeDone, StartedAt: time.Now(), FinishedAt: time.Now()}
		if db.Finish(ctx, a, delivery.Done, time.Time{}) == nil && counts() {
			p.mu.Lock()
			p.finished[task.Event.Key] = true
			p.mu.Unlock()
		}
	}
}

// broken opens the store in dir and returns which promises it does not keep.
func (p *promises) broken(t *testing.T, dir string) (lost []string) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatalf("open what is left: %v", err)
	}
	defer db.Close()
	if text, err := db.Pragma(t.Context(), "integrity_check"); err != nil || text != "ok" {
		t.Errorf("integrity: %s, %v", text, err)
	}
	for _, key := range p.tried {
		d, err := db.Delivery(t.Context(), key)
		switch {
		case errors.Is(err, store.ErrNotFound):
			if p.accepted[key] {
				lost = append(lost, key)
			}
		case err != nil:
			t.Errorf("%s: %v", key, err)
		case len(d.Jobs) != 1:
			t.Errorf("%s is stored by half: %d jobs", key, len(d.Jobs))
		case p.finished[key] && (!d.Delivered() || len(d.Attempts) != 1):
			lost = append(lost, key+"'s result")
		}
	}
	return lost
}

func always() bool { return true }

// everything is one of each write, and enough of them for checkpoints.
func everything(ctx context.Context, db *sqlite.DB, p *promises) {
	for i := range 12 {
		p.accept(ctx, db, fmt.Sprint("event ", i), always)
		if i%4 == 3 {
			p.finish(ctx, db, 2, always)
		}
	}
	_ = db.SaveRoute(ctx, store.Route{Target: "plugin:a", Patterns: []string{"*"}})
	tasks, err := db.Claim(ctx, "plugin:a", time.Now(), 1)
	if err == nil && len(tasks) == 1 {
		a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: tasks[0].Job.Target, N: 1, Outcome: delivery.OutcomeFailed, Error: "no", StartedAt: time.Now(), FinishedAt: time.Now()}
		_ = db.Finish(ctx, a, delivery.Dead, time.Time{})
	}
	_, _ = db.Discard(ctx, store.Query{})
	if r := (store.Replay{Query: store.Query{Status: store.StatusDiscarded}}); db.CreateReplay(ctx, &r) == nil {
		_, _, _ = db.StepReplay(ctx, r.ID, 10)
		_, _ = db.CancelReplay(ctx, r.ID)
	}
	_, _ = db.Prune(ctx, store.Retention{Before: time.Unix(1, 0)}, 10)
}

// checkpointOften makes SQLite move its log into the database now and then
// within the few writes of a test.
const checkpointOften = "wal_autocheckpoint(15)"

// Each write, truncate and sync below SQLite fails once: not done, done but
// reported failed, half done. HOOKSWITCH_FAULTS=all takes every one of them,
// else it is a sample.
func TestEveryFaultBelowTheStore(t *testing.T) {
	run := func(t *testing.T, decide func(n int64) faultvfs.Fault) (ops int64) {
		vfs := faultvfs.New()
		vfs.Decide = func(n int64, _ faultvfs.Kind, _ string) faultvfs.Fault { return decide(n) }
		dir := t.TempDir()
		p := newPromises()
		db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, VFS: vfs.Name()})
		if err == nil {
			if err := db.Set(t.Context(), checkpointOften); err != nil {
				t.Logf("fault while the database was set up: %v", err)
			}
			everything(t.Context(), db, p)
			// The fault is over, or hits one of these: the store goes on by
			// itself.
			for try := 0; try < 3 && !p.accepted["the last"]; try++ {
				p.accept(t.Context(), db, "the last", always)
			}
			if !p.accepted["the last"] {
				t.Error("the store does not accept any more")
			}
			_ = db.Close() // the fault may have been kept for this
		}
		if lost := p.broken(t, dir); len(lost) > 0 {
			t.Errorf("acknowledged and lost: %v", lost)
		}
		return vfs.Ops()
	}
	total := run(t, func(int64) faultvfs.Fault { return faultvfs.None })
	step := total/12 + 1
	if os.Getenv("HOOKSWITCH_FAULTS") == "all" {
		step = 1
	}
	first := 1 + rand.Int64N(step)
	t.Logf("%d operations below the store, every %d. from %d fails", total, step, first)
	for n := first; n <= total; n += step {
		for fault, name := range map[faultvfs.Fault]string{faultvfs.Lost: "lost", faultvfs.Landed: "landed", faultvfs.Half: "half"} {
			t.Run(fmt.Sprint(n, " ", name), func(t *testing.T) {
				t.Parallel()
				run(t, func(at int64) faultvfs.Fault {
					if at == n {
						return fault
					}
					return faultvfs.None
				})
			})
		}
	}
}

// A disk that fails for a while: nothing is acknowledged, everybody is told,
// and the store goes on when it works again.
func TestDiskFailsForAWhile(t *testing.T) {
	for name, kind := range map[string]faultvfs.Kind{"writes": faultvfs.Write, "syncs": faultvfs.Sync} {
		t.Run(name, func(t *testing.T) {
			vfs := faultvfs.New()
			var broken atomic.Bool
			vfs.Decide = func(_ int64, k faultvfs.Kind, _ string) faultvfs.Fault {
				if k == kind && broken.Load() {
					return faultvfs.Lost
				}
				return faultvfs.None
			}
			dir := t.TempDir()
			db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, VFS: vfs.Name()})
			if err != nil {
				t.Fatal(err)
			}
			p := newPromises()
			p.accept(t.Context(), db, "before", always)
			broken.Store(true)
			for i := range 5 {
				p.accept(t.Context(), db, fmt.Sprint("meanwhile ", i), always)
			}
			wantMessage(t, db.Ping(t.Context()), "ping", "disk I/O error")
			if len(p.accepted) != 1 {
				t.Errorf("%d events were acknowledged on a broken disk", len(p.accepted)-1)
			}
			broken.Store(false)
			p.accept(t.Context(), db, "after", always)
			if !p.accepted["after"] {
				t.Error("the store does not go on")
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if lost := p.broken(t, dir); len(lost) > 0 {
				t.Errorf("lost %v", lost)
			}
		})
	}
}

// The power is cut at random moments under load. What was synced is there, of
// the rest any sectors. With synchronous=NORMAL, which the store must not use,
// the same test loses events: so it would notice.
func TestPowerCut(t *testing.T) {
	const cuts = 8
	lost := map[string]*atomic.Int64{"FULL": new(atomic.Int64), "NORMAL": new(atomic.Int64)}
	var acked atomic.Int64
	t.Run("", func(t *testing.T) {
		for mode, count := range lost {
			for i := range cuts {
				t.Run(fmt.Sprint(mode, " ", i), func(t *testing.T) {
					t.Parallel()
					p := cut(t, mode, i%2 == 0)
					acked.Add(int64(len(p.accepted)))
					count.Add(int64(p.lost))
				})
			}
		}
	})
	t.Logf("%d events acknowledged; lost with synchronous=FULL %d, with NORMAL %d", acked.Load(), lost["FULL"].Load(), lost["NORMAL"].Load())
	if n := lost["FULL"].Load(); n > 0 {
		t.Errorf("%d promises were broken by power cuts", n)
	}
	if lost["NORMAL"].Load() == 0 && !t.Failed() {
		t.Error("nothing was lost without syncs either: the simulation is none")
	}
}

// outcome of a power cut.
type outcome struct {
	*promises
	lost int
}

// cut cuts the power of a store, which moves its log into the database often or
// hardly ever.
func cut(t *testing.T, synchronous string, often bool) outcome {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	vfs := faultvfs.New()
	vfs.Record()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), VFS: vfs.Name()})
	if err != nil {
		t.Fatal(err)
	}
	pragmas := []string{"synchronous(" + synchronous + ")"}
	if often {
		pragmas = append(pragmas, checkpointOften)
	}
	for _, pragma := range pragmas {
		if err := db.Set(t.Context(), pragma); err != nil {
			t.Fatal(err)
		}
	}
	vfs.CutAt(vfs.Ops() + 30 + random.Int64N(500))
	// What is said after the cut is said by a machine that is off.
	on := func() bool { return vfs.Cut() == nil }
	p := newPromises()
	var load sync.WaitGroup
	for producer := range 4 {
		load.Go(func() {
			for n := 0; on(); n++ {
				p.accept(t.Context(), db, fmt.Sprint(producer, "-", n), on)
				if producer == 0 && n%3 == 2 {
					p.finish(t.Context(), db, 3, on)
				}
			}
		})
	}
	load.Wait()
	left := t.TempDir()
	if err := vfs.Cut().Restore(left, random); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return outcome{p, len(p.broken(t, left))}
}

// A log that was torn or written over is never taken for good data: the store
// opens with what is whole, or says that the database is damaged.
func TestTornFiles(t *testing.T) {
	for i := range 30 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 0))
			vfs := faultvfs.New()
			vfs.Record()
			dir := t.TempDir()
			db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir, VFS: vfs.Name()})
			if err != nil {
				t.Fatal(err)
			}
			p := newPromises()
			for n := range 20 {
				p.accept(t.Context(), db, fmt.Sprint(n), always)
			}
			vfs.CutAt(1) // a copy of the files as they are now, with their log
			_ = db.Ping(t.Context())
			left := t.TempDir()
			if err := vfs.Cut().Restore(left, random); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(left, []string{"events.db", "events.db-wal"}[i%2])
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			at := random.IntN(len(content))
			if i%4 < 2 {
				content = content[:at]
			} else {
				for n := range content[at:min(at+2048, len(content))] {
					content[at+n] ^= 0x5a
				}
			}
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
			again, err := sqlite.Open(t.Context(), sqlite.Config{Dir: left})
			if err != nil {
				wantMessage(t, err, "events.db", "damaged")
				return
			}
			defer again.Close()
			// Opened: then everything that it shows is whole.
			for _, key := range p.tried {
				if d, err := again.Delivery(t.Context(), key); err == nil && (len(d.Jobs) != 1 || string(d.Event.Body) != string(newEvent(key).Body)) {
					t.Errorf("seed %d: %s is shown damaged", seed, key)
				}
			}
			if text, err := again.Pragma(t.Context(), "integrity_check"); err != nil || text != "ok" {
				t.Errorf("seed %d: opened although damaged: %s, %v", seed, text, err)
			}
		})
	}
}

// An event that comes alone is committed by one sync.
func TestALonelyEventWaitsForOneSync(t *testing.T) {
	vfs := faultvfs.New()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir(), VFS: vfs.Name()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "the first makes the log", "plugin:a")
	before := vfs.Syncs()
	accept(t, db, "lonely", "plugin:a", "plugin:b")
	if n := vfs.Syncs() - before; n != 1 {
		t.Errorf("one event took %d syncs, want 1", n)
	}
}
