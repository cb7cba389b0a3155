package dispatch_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// TestReplace: an attempt under way ends where it was begun, and the next one is
// made at the new target, which is not blamed for the failures of the old one.
func TestReplace(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		release := make(chan struct{})
		slow := newTarget(name, func(context.Context, delivery.Task) (delivery.Attempt, error) {
			<-release
			return delivery.Attempt{Outcome: delivery.OutcomeRetry, Unavailable: true, Error: "old", ErrorCodes: []int{75500}}, nil
		})
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{slow}, Schedule: delivery.Schedule{time.Minute}, Concurrency: 20})
		for i := range 12 {
			b.accept(fmt.Sprint(i))
		}
		synctest.Wait()
		next := newTarget(name, done)
		if err := b.d.Replace(next); err != nil {
			t.Fatal(err)
		}
		b.accept("new")
		if j, attempts := job(t, s, "new"); j.State != delivery.Pending && len(attempts) != 1 {
			t.Errorf("the new target was not called while the old one was busy: %+v", j)
		}
		synctest.Wait()
		if j, _ := job(t, s, "new"); j.State != delivery.Done {
			t.Errorf("the event that came after is %s", j.State)
		}
		close(release)
		synctest.Wait()
		got := b.d.Status()[0]
		if got.UnavailableSince.IsZero() {
			t.Error("12 attempts that found nobody have not opened the breaker")
		}
		// The last two began before it was open, and say nothing new.
		if wait := time.Until(got.NextProbe); wait > 1500*time.Millisecond {
			t.Errorf("the first probe is %v away, want the shortest pause", wait)
		}
		if err := b.d.Replace(newTarget(name, done)); err != nil {
			t.Fatal(err)
		}
		if got := b.d.Status()[0]; !got.UnavailableSince.IsZero() || got.Slots != 20 {
			t.Errorf("the new target is taken for unavailable: %+v", got)
		}
		time.Sleep(2 * time.Minute)
		if j, attempts := job(t, s, "3"); j.State != delivery.Done || len(attempts) != 2 || attempts[1].Error != "old" {
			t.Errorf("job %+v, attempts %+v", j, attempts)
		}
		if err := b.d.Replace(newTarget("plugin:other", done)); err == nil {
			t.Error("a target that is not there was replaced")
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}

// TestSetPolicy: a new schedule holds for the next result, and new slots at once.
func TestSetPolicy(t *testing.T) {
	bubble(t, func(t *testing.T, s *sqlite.DB) {
		b := start(t, s, dispatch.Config{Targets: []dispatch.Target{newTarget(name, outcome(delivery.OutcomeRetry, 0))},
			Schedule: delivery.Schedule{time.Hour, time.Hour}, Concurrency: 1})
		b.accept("a")
		if got := b.got(); len(got) != 1 || got[0].nextIn < 30*time.Minute {
			t.Fatalf("reports: %+v", got)
		}
		b.d.SetPolicy(dispatch.Policy{Schedule: delivery.Schedule{time.Second, time.Second}, Concurrency: 3})
		time.Sleep(2 * time.Hour)
		got := b.got()
		if len(got) != 3 || got[1].nextIn > 2*time.Second || got[2].state != delivery.Dead {
			t.Errorf("reports: %+v", got)
		}
		if slots := b.d.Status()[0].Slots; slots != 3 {
			t.Errorf("%d slots", slots)
		}
		b.d.SetPolicy(dispatch.Policy{})
		if slots := b.d.Status()[0].Slots; slots != 16 {
			t.Errorf("%d slots by default", slots)
		}
		b.accept("b")
		time.Sleep(time.Second)
		if j, attempts := job(t, s, "b"); j.State != delivery.Dead || len(attempts) != 1 {
			t.Errorf("without a schedule: %+v", j)
		}
		if err := b.end(); err != nil {
			t.Error(err)
		}
	})
}
