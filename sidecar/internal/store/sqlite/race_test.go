package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/storetest"
)

// claimed returns the tasks that are due.
func claimed(t *testing.T, db *sqlite.DB, want int) []delivery.Task {
	t.Helper()
	tasks, err := db.Claim(t.Context(), "plugin:a", time.Now(), 10)
	if err != nil || len(tasks) != want {
		t.Fatalf("%d tasks, %v; want %d", len(tasks), err, want)
	}
	return tasks
}

func finish(t *testing.T, db *sqlite.DB, task delivery.Task, o delivery.Outcome, state delivery.State) error {
	t.Helper()
	now := time.Now()
	return db.Finish(t.Context(), delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: "plugin:a", N: 1,
		StartedAt: now, FinishedAt: now, Outcome: o}, state, time.Time{})
}

// TestFilesVanishDuringACommit: an event whose commit went into a file that was
// removed meanwhile is not acknowledged.
func TestFilesVanishDuringACommit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	var vanish atomic.Bool
	db, err := sqlite.OpenWithCommit(t.Context(), sqlite.Config{Dir: dir}, func(c *sql.Conn) error {
		if vanish.Load() {
			return errors.Join(os.Rename(dir, dir+".old"), sqlite.Commit(c))
		}
		return sqlite.Commit(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "before", "plugin:a")
	vanish.Store(true)
	if _, err := db.Accept(t.Context(), newEvent("during"), []string{"plugin:a"}); err == nil || !strings.Contains(err.Error(), "it is gone") {
		t.Errorf("accepted with %v", err)
	}
}

// TestRoomIsKept: a disk that fills up refuses events first, then results, and
// old events can be removed to the end.
func TestRoomIsKept(t *testing.T) {
	var free atomic.Uint64
	free.Store(90 << 20)
	cfg := sqlite.Config{Dir: t.TempDir()}.WithDisk(func(string) (uint64, uint64, error) { return free.Load(), 100 << 20, nil })
	db, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "a", "plugin:a")
	accept(t, db, "b", "plugin:a")
	tasks := claimed(t, db, 2)

	free.Store(8 << 20)
	if _, err := db.Accept(t.Context(), newEvent("c"), nil); err == nil || !strings.Contains(err.Error(), "reserved for recording results") {
		t.Errorf("an event with 8 MiB left: %v", err)
	}
	if err := finish(t, db, tasks[0], delivery.OutcomeDone, delivery.Done); err != nil {
		t.Errorf("a result with 8 MiB left: %v", err)
	}
	free.Store(1 << 20)
	if err := finish(t, db, tasks[1], delivery.OutcomeDone, delivery.Done); err == nil || !strings.Contains(err.Error(), "reserved for removing old events") {
		t.Errorf("a result with 1 MiB left: %v", err)
	}
	if got, err := db.Prune(t.Context(), store.Retention{Before: time.Now()}, 10); err != nil || got.Events != 1 {
		t.Errorf("removed %+v, %v; want the event that is done", got, err)
	}
	free.Store(90 << 20)
	if err := finish(t, db, tasks[1], delivery.OutcomeDone, delivery.Done); err != nil {
		t.Errorf("a result with room again: %v", err)
	}
}

// TestRequeuedWhileItIsRemoved: an event that was chosen to be removed, and is
// requeued before that is done, stays.
func TestRequeuedWhileItIsRemoved(t *testing.T) {
	var hold atomic.Bool
	entered, letGo := make(chan struct{}), make(chan struct{})
	db, err := sqlite.OpenWithCommit(t.Context(), sqlite.Config{Dir: t.TempDir()}, func(c *sql.Conn) error {
		if hold.Swap(false) {
			close(entered)
			<-letGo
		}
		return sqlite.Commit(c)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	accept(t, db, "a", "plugin:a")
	if err := finish(t, db, claimed(t, db, 1)[0], delivery.OutcomeFailed, delivery.Dead); err != nil {
		t.Fatal(err)
	}
	r := store.Replay{Query: store.Query{Status: store.StatusDead}}
	if err := db.CreateReplay(t.Context(), &r); err != nil {
		t.Fatal(err)
	}

	hold.Store(true)
	var all sync.WaitGroup
	all.Go(func() {
		if _, _, err := db.StepReplay(t.Context(), r.ID, 10); err != nil {
			t.Errorf("requeue: %v", err)
		}
	})
	<-entered
	all.Go(func() { // to which it is still a dead letter
		if _, err := db.Prune(t.Context(), store.Retention{DeadBefore: time.Now().Add(time.Hour)}, 10); err != nil {
			t.Errorf("prune: %v", err)
		}
	})
	waitFor(db, 1)
	close(letGo)
	all.Wait()
	claimed(t, db, 1)
}

// A damaged file may have lost an event and not its jobs.
func TestEventIsGone(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	accept(t, db, "gone", "plugin:a")
	task := claimed(t, db, 1)[0]
	if err := finish(t, db, task, delivery.OutcomeDone, delivery.Done); err != nil {
		t.Fatal(err)
	}
	execSQL(t, filepath.Join(dir, "events.db"), `DELETE FROM events`)
	storetest.Hidden(t, db, task.Event.DeliveryID)
}
