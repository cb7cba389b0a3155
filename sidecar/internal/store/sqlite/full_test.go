package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/edges"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestEdgeDiskFull fills a real, small file system. While it is full nothing is
// accepted and the message says so; when there is room again everything goes
// on by itself, and what was acknowledged is there.
func TestEdgeDiskFull(t *testing.T) {
	edges.Need(t)
	dir := edges.Tmpfs(t, "8m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	acked, failed := fillDisk(t, db)
	if failed == nil || !strings.Contains(failed.Error(), "is full: free some space") {
		t.Fatalf("after %d events: %v", len(acked), failed)
	}
	for range 2 { // a repetition fails as well, and does no harm
		big := newEvent("again")
		big.Body = make([]byte, 10_000)
		if _, err := db.Accept(t.Context(), big, []string{"plugin:a"}); err == nil {
			t.Error("an event was accepted on a full disk")
		}
		if err := db.Probe(t.Context(), big, []string{"plugin:a"}); err == nil {
			t.Error("a full disk is not noticed by Probe")
		}
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
	accept(t, db, "again", "plugin:a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = sqlite.Open(t.Context(), sqlite.Config{Dir: filepath.Join(dir, "data")}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, key := range append(acked, "again") {
		if _, err := db.Delivery(t.Context(), key); err != nil {
			t.Fatalf("an event that was acknowledged is lost: %v", err)
		}
	}
}

// TestEdgeFullDiskRecovers: a disk that the store itself has filled, to the
// point where nothing is accepted, still has room for the results of all that
// was accepted, for the removal of it, and then for new events; also after a
// restart in between.
func TestEdgeFullDiskRecovers(t *testing.T) {
	edges.Need(t)
	sizes := []string{"16m"}
	if edges.Long() {
		sizes = []string{"8m", "16m"}
	}
	for _, size := range sizes {
		for _, body := range []int{200, 10_000, 300_000} {
			t.Run(fmt.Sprintf("%s of %d bytes", size, body), func(t *testing.T) { fullDiskRecovers(t, size, body) })
		}
	}
}

func fullDiskRecovers(t *testing.T, size string, body int) {
	dir := filepath.Join(edges.Tmpfs(t, size), "data")
	reopen := func(db *sqlite.DB) *sqlite.DB {
		if db != nil {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := reopen(nil)
	defer func() { _ = db.Close() }()
	all := 0
	for round := range 5 {
		n := fillConcurrently(t, db, round, body)
		if round == 1 {
			db = reopen(db)
		}
		done, removed := 0, 0
		for {
			tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 64)
			if err != nil {
				t.Fatal(err)
			}
			if len(tasks) == 0 {
				break
			}
			for _, task := range tasks {
				a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: "plugin:a", N: 1, StartedAt: time.Now(), FinishedAt: time.Now(),
					Outcome: delivery.OutcomeDone, ResponseBody: make([]byte, 200)}
				// As in the sidecar: a result is tried until it is recorded,
				// while old events are removed.
				for try := 1; ; try++ {
					err := db.Finish(t.Context(), a, delivery.Done, time.Time{})
					if err == nil {
						break
					}
					if try == 3 {
						t.Fatalf("round %d: result %d of %d: %v", round, done+1, n, err)
					}
					removed += makeRoom(t, db)
				}
				done++
			}
		}
		if done != n {
			t.Fatalf("round %d: %d of %d events were delivered", round, done, n)
		}
		removed += makeRoom(t, db)
		all += removed
		e := newEvent(fmt.Sprint("after ", round))
		e.Body = make([]byte, body)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // what waits is counted now and then
			_, err := db.Accept(t.Context(), e, nil)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("round %d: with room again: %v", round, err)
			}
			all += makeRoom(t, db)
		}
	}
	if all == 0 {
		t.Error("nothing was removed for lack of room")
	}
}

// makeRoom removes what may go for lack of room.
func makeRoom(t *testing.T, db *sqlite.DB) (removed int) {
	t.Helper()
	for got := (store.Pruned{More: true}); got.More; {
		var err error
		if got, err = db.Prune(t.Context(), store.Retention{MaxBytes: 5 << 30}, 200); err != nil {
			t.Fatalf("after %d were removed: %v", removed, err)
		}
		removed += got.Events
	}
	return removed
}

// fillConcurrently accepts events from several goroutines, until all fail, and
// returns how many were accepted.
func fillConcurrently(t *testing.T, db *sqlite.DB, round, body int) int {
	var all sync.WaitGroup
	var n atomic.Int64
	for g := range 8 {
		all.Go(func() {
			for i := 0; ; i++ {
				e := newEvent(fmt.Sprint(round, g, i))
				e.Body = make([]byte, body)
				_, err := db.Accept(t.Context(), e, []string{"plugin:a"})
				if err != nil {
					if !strings.Contains(err.Error(), "is full: free some space") {
						t.Errorf("accept: %v", err)
					}
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return int(n.Load())
}

// fillDisk accepts events until one fails.
func fillDisk(t *testing.T, db *sqlite.DB) (acked []string, err error) {
	for i := range 10_000 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 10_000)
		if _, err := db.Accept(t.Context(), e, []string{"plugin:a"}); err != nil {
			return acked, err
		}
		acked = append(acked, e.ID)
	}
	return acked, nil
}

// TestSpaceIsGivenBack: what is pruned leaves the file.
func TestSpaceIsGivenBack(t *testing.T) {
	dir := t.TempDir()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 500 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 20_000)
		if _, err := db.Accept(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	if mode, err := db.Pragma(t.Context(), "auto_vacuum"); err != nil || mode != "2" {
		t.Errorf("auto_vacuum is %s, %v; want 2, incremental", mode, err)
	}
	var got store.Pruned
	for got.More = true; got.More; {
		if got, err = db.Prune(t.Context(), store.Retention{MaxBytes: 1}, 100); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(filepath.Join(dir, "events.db"))
	if err != nil || fi.Size() > 2<<20 {
		t.Errorf("the file has %d bytes after 10 MB were removed, %v", fi.Size(), err)
	}
}

// TestAFileThatCannotShrink: pruning has an end also where no space can be given
// back.
func TestAFileThatCannotShrink(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Set(t.Context(), "auto_vacuum = NONE; VACUUM"); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		e := newEvent(fmt.Sprint(i))
		e.Body = make([]byte, 20_000)
		if _, err := db.Accept(t.Context(), e, nil); err != nil {
			t.Fatal(err)
		}
	}
	steps, removed := 0, 0
	for got := (store.Pruned{More: true}); got.More; steps++ {
		if got, err = db.Prune(t.Context(), store.Retention{Before: time.Now().Add(time.Hour)}, 100); err != nil {
			t.Fatal(err)
		}
		if removed += got.Events; steps > 20 {
			t.Fatalf("more is asked for after %d steps that removed %d events", steps, removed)
		}
	}
	if removed != 300 {
		t.Errorf("%d events were removed, want 300", removed)
	}
}
