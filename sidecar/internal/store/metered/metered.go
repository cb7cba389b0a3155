// Package metered wraps a store to count its failures, and to notice when it
// answers but no longer takes events. It does not change what the store does.
package metered

import (
	"context"
	"errors"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Store counts the failures of the operations that events pass through.
type Store struct {
	store.Store
	metrics *telemetry.Metrics
	accepts watch
}

// New wraps a store. It calls alarm when it becomes doubtful that events are
// accepted.
func New(s store.Store, metrics *telemetry.Metrics, alarm func()) *Store {
	return &Store{Store: s, metrics: metrics, accepts: watch{alarm: alarm}}
}

// Check reports whether the store takes events.
func (m *Store) Check(ctx context.Context) error { return m.accepts.check(ctx, m) }

// failed counts an error of the store itself, and returns it. A caller that is
// gone, or a record that is not there, is not a failure of the store.
func (m *Store) failed(op string, err error) error {
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrStale) &&
		!errors.Is(err, store.ErrClosed) && !errors.Is(err, store.ErrElsewhere) && !errors.Is(err, context.Canceled) {
		m.metrics.StoreFailed(op)
	}
	return err
}

func (m *Store) Accept(ctx context.Context, e *delivery.Event, targets []string) (store.Accepted, error) {
	got, err := m.Store.Accept(ctx, e, targets)
	m.accepts.done(e, targets, err)
	return got, m.failed("accept", err)
}

func (m *Store) Record(ctx context.Context, e *delivery.Event, a delivery.Attempt, others []string) (store.Accepted, error) {
	got, err := m.Store.Record(ctx, e, a, others)
	return got, m.failed("record", err)
}

func (m *Store) Claim(ctx context.Context, target string, now time.Time, limit int) ([]delivery.Task, error) {
	tasks, err := m.Store.Claim(ctx, target, now, limit)
	return tasks, m.failed("claim", err)
}

func (m *Store) NextDue(ctx context.Context, target string) (time.Time, bool, error) {
	at, ok, err := m.Store.NextDue(ctx, target)
	return at, ok, m.failed("next_due", err)
}

func (m *Store) Hurry(ctx context.Context, q store.Query, now time.Time, limit int) (int, []string, error) {
	n, targets, err := m.Store.Hurry(ctx, q, now, limit)
	return n, targets, m.failed("hurry", err)
}

func (m *Store) Reschedule(ctx context.Context, target string, now time.Time, s delivery.Schedule) (int, error) {
	n, err := m.Store.Reschedule(ctx, target, now, s)
	return n, m.failed("reschedule", err)
}

func (m *Store) Finish(ctx context.Context, a delivery.Attempt, state delivery.State, nextAt time.Time) error {
	return m.failed("finish", m.Store.Finish(ctx, a, state, nextAt))
}

func (m *Store) Release(ctx context.Context, t delivery.Task) error {
	return m.failed("release", m.Store.Release(ctx, t))
}

func (m *Store) Deliveries(ctx context.Context, f store.Filter) ([]store.Delivery, int, error) {
	list, total, err := m.Store.Deliveries(ctx, f)
	return list, total, m.failed("read", err)
}

func (m *Store) Events(ctx context.Context, q store.Query, before int64, limit int) (store.Page, error) {
	page, err := m.Store.Events(ctx, q, before, limit)
	return page, m.failed("read", err)
}

func (m *Store) StepReplay(ctx context.Context, id string, limit int) (store.Replay, []string, error) {
	r, targets, err := m.Store.StepReplay(ctx, id, limit)
	return r, targets, m.failed("replay", err)
}

func (m *Store) Prune(ctx context.Context, r store.Retention, limit int) (store.Pruned, error) {
	pruned, err := m.Store.Prune(ctx, r, limit)
	return pruned, m.failed("prune", err)
}

func (m *Store) Excess(ctx context.Context, r store.Retention) (int64, error) {
	excess, err := m.Store.Excess(ctx, r)
	return excess, m.failed("size", err)
}

func (m *Store) Probe(ctx context.Context, e *delivery.Event, targets []string) error {
	return m.failed("probe", m.Store.Probe(ctx, e, targets))
}

func (m *Store) Ping(ctx context.Context) error {
	return m.failed("ping", m.Store.Ping(ctx))
}
