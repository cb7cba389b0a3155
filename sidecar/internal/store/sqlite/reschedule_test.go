package sqlite_test

import (
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestRescheduleLeavesARetry: a result that is recorded while jobs are brought forward
// decides when its job is due, such as after the Retry-After of the target.
func TestRescheduleLeavesARetry(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var hold, goOn chan struct{}
		db, err := sqlite.OpenWithCommit(t.Context(), sqlite.Config{Dir: dir}, func(conn *sql.Conn) error {
			if hold != nil {
				close(hold)
				hold = nil
				<-goOn
			}
			return sqlite.Commit(conn)
		})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		accept(t, db, "a", "plugin:a")
		now := time.Now()
		try := func(n int, at, due time.Time) {
			tasks, err := db.Claim(t.Context(), "plugin:a", at, 1)
			if err != nil || len(tasks) != 1 {
				t.Error(len(tasks), err)
				return
			}
			a := delivery.Attempt{JobID: tasks[0].Job.ID, DeliveryID: tasks[0].Event.DeliveryID, Target: "plugin:a", N: n, Outcome: delivery.OutcomeRetry, StartedAt: at, FinishedAt: at}
			if err := db.Finish(t.Context(), a, delivery.Pending, due); err != nil {
				t.Error(err)
			}
		}
		ahead := now.Add(time.Hour) // where the clock was
		try(1, now, ahead)
		due := now.Add(20 * time.Minute).Truncate(time.Microsecond)
		hold, goOn = make(chan struct{}), make(chan struct{})
		held := hold
		go try(2, ahead, due)
		<-held // the result is about to be committed
		go func() {
			if _, err := db.Reschedule(t.Context(), "plugin:a", now, delivery.Schedule{time.Second, time.Minute}); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		if got, ok, err := db.NextDue(t.Context(), "plugin:a"); err != nil || !ok || !got.Equal(due) {
			t.Errorf("due in %v, want %v (%v, %v)", got.Sub(now), due.Sub(now), ok, err)
		}
	})
}
