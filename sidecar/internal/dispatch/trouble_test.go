package dispatch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
)

// brokenStore hands out jobs, and records no result while it is broken.
type brokenStore struct {
	stuckStore
	left   *atomic.Int64
	broken *atomic.Bool
}

func (s brokenStore) Claim(_ context.Context, _ string, _ time.Time, limit int) (tasks []delivery.Task, _ error) {
	for len(tasks) < limit && s.left.Load() > 0 {
		n := s.left.Add(-1)
		tasks = append(tasks, delivery.Task{Job: delivery.Job{ID: n}, Event: &delivery.Event{DeliveryID: fmt.Sprint(n)}})
	}
	return tasks, nil
}

func (s brokenStore) Finish(context.Context, delivery.Attempt, delivery.State, time.Time) error {
	if s.broken.Load() {
		return errors.New("the disk is full")
	}
	return nil
}

// quick is a target that takes everything.
type quick struct{ idle }

func (quick) Deliver(context.Context, delivery.Task) (delivery.Attempt, error) {
	return delivery.Attempt{Outcome: delivery.OutcomeDone}, nil
}

// TestUnrecordedResultsAreSaidOnce: a store that records no result for minutes
// is a line a minute, however many results wait, and one when that is over.
func TestUnrecordedResultsAreSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := brokenStore{stuckStore{stuck: make(chan struct{})}, new(atomic.Int64), new(atomic.Bool)}
		s.left.Store(64)
		s.broken.Store(true)
		var log bytes.Buffer
		d, err := dispatch.New(dispatch.Config{Store: s, Targets: []dispatch.Target{quick{}}, Concurrency: 64, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- d.Run(ctx) }()
		time.Sleep(4*time.Minute + 30*time.Second)
		synctest.Wait()
		during := log.String()
		if n := strings.Count(during, "code=result-unrecorded"); n != 5 {
			t.Errorf("said %d times in 4.5 minutes, want 5:\n%s", n, during)
		}
		if !strings.Contains(during, "results=64") || !strings.Contains(during, "the disk is full") {
			t.Errorf("log:\n%s", during)
		}
		s.broken.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		after := strings.TrimPrefix(log.String(), during)
		if strings.Contains(after, "level=WARN") || strings.Count(after, "are recorded again") != 1 || !strings.Contains(after, "results=64") {
			t.Errorf("log after it was well again:\n%s", after)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
