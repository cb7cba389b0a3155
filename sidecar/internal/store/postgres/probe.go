package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// errStored undoes a probe with an event that is already stored.
var errStored = errors.New("the event is stored")

// Probe implements [store.Store]. The event is stored, by the statement of an
// accept, and removed again in one transaction.
func (db *DB) Probe(ctx context.Context, e *delivery.Event, targets []string) error {
	return db.try(ctx, "probe", e, targets)
}

// Ping implements [store.Store].
func (db *DB) Ping(ctx context.Context) error {
	e, targets := store.NewProbe()
	return db.try(ctx, "ping", e, targets)
}

func (db *DB) try(ctx context.Context, name string, e *delivery.Event, targets []string) error {
	row, err := encodeEvent(e, db.ascii)
	if err != nil {
		return fmt.Errorf("postgres: %s: %w", name, err)
	}
	var c eventColumnsOf
	c.add(e, row, 0)
	keys := make([]string, len(targets))
	for i := range keys {
		keys[i] = row.key
	}
	args := append(c.args(), keys, targets, make([]*string, len(targets)))
	stored := false
	err = db.change(ctx, name, func(tx pgx.Tx) error {
		var key, delivery string
		var seq int64
		err := tx.QueryRow(ctx, acceptEvents, args...).Scan(&key, &seq, &delivery, nil, nil)
		if stored = errors.Is(err, pgx.ErrNoRows); stored {
			return errStored
		}
		if err != nil {
			return err
		}
		for _, text := range []string{
			`DELETE FROM hookswitch_jobs WHERE event_seq = $1`,
			`DELETE FROM hookswitch_records WHERE seq = $1`,
			`DELETE FROM hookswitch_events WHERE seq = $1`,
		} {
			if _, err := tx.Exec(ctx, text, seq); err != nil {
				return err
			}
		}
		return nil
	})
	if stored {
		return nil
	}
	return err
}
