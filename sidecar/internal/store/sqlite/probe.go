package sqlite

import (
	"context"
	"fmt"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Probe implements [store.Store]. The event is stored and removed again in one
// transaction, whose commit writes all that an accept would.
func (db *DB) Probe(ctx context.Context, e *delivery.Event, targets []string) error {
	return db.try(ctx, "probe", e, targets)
}

// Ping implements [store.Store].
func (db *DB) Ping(ctx context.Context) error {
	e, targets := store.NewProbe()
	return db.try(ctx, "ping", e, targets)
}

func (db *DB) try(ctx context.Context, name string, e *delivery.Event, targets []string) error {
	n, err := encodeEvent(e)
	if err != nil {
		return fmt.Errorf("sqlite: %s: %w", name, err)
	}
	return db.add(ctx, name, n.size, 0, func(w *writer) error { return w.probe(n, targets) }, nil)
}

func (w *writer) probe(n *newEvent, targets []string) error {
	if err := w.exec(`SAVEPOINT probe`); err != nil {
		return err
	}
	got, err := n.insert(w, targets)
	switch {
	case err != nil:
		return err // which undoes the operation as a whole
	case got.Duplicate: // it is stored already, and was not received again
		err = w.exec(`ROLLBACK TO probe`)
	default:
		err = w.prune([]int64{got.Seq}, 0, true)
	}
	if err != nil {
		return err
	}
	if err := w.exec(`RELEASE probe`); err != nil {
		return err
	}
	_, err = w.ping.Exec() // so that there is something to commit
	return err
}
