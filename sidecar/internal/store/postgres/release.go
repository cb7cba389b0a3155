package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
)

const giveBackJobs = `
UPDATE hookswitch_jobs AS j SET owner = NULL
FROM unnest($2::bigint[], $3::text[], $4::text[]) AS i (id, target, delivery_id)
WHERE j.id = i.id AND j.owner = $1 AND ` + jobIs

// releaseOp is one Release.
type releaseOp struct {
	batch.Op
	t delivery.Task
}

// Release implements [store.Store]. Those that are waiting at the same time are one
// statement. Whatever becomes of it, the job is no longer held, so that the lease gives
// back what it could not.
func (db *DB) Release(ctx context.Context, t delivery.Task) error {
	err := db.releases.Do(ctx, &releaseOp{Op: batch.NewOp(0), t: t})
	if left, gone := errors.AsType[*batch.Left](err); gone {
		err = fmt.Errorf("postgres: release: %w", left)
	}
	held := (err == nil || !db.closed()) && db.held.forget(t.Job.ID, t.Event.DeliveryID, t.Job.Target, t.Job.Attempts)
	db.held.changed(t.Job.Target)
	switch {
	case err != nil:
		db.lease.poke()
	case held:
		db.notices.add([]string{t.Job.Target})
	}
	return err
}

// releaseAll gives back the jobs of a group of Releases.
func (db *DB) releaseAll(ops []*releaseOp) {
	tasks := make([]delivery.Task, len(ops))
	for i, o := range ops {
		tasks[i] = o.t
	}
	err := db.giveBackAll(context.Background(), tasks)
	for _, o := range ops {
		o.Answer(err)
	}
}

// giveBackAll gives back claimed jobs. No claim is under way meanwhile: if one took
// a job again after a statement whose answer was lost, repeating the statement would
// undo it. So it must be short.
func (db *DB) giveBackAll(ctx context.Context, tasks []delivery.Task) error {
	ctx, cancel := context.WithTimeout(ctx, min(db.ttl/2, groupTime))
	defer cancel()
	if err := db.held.gate.shut(ctx); err != nil {
		return db.failed("release", err)
	}
	defer db.held.gate.open()
	var ids []int64
	var targets, deliveries []string
	for _, t := range tasks {
		ids, targets, deliveries = append(ids, t.Job.ID), append(targets, t.Job.Target), append(deliveries, wrap(t.Event.DeliveryID))
	}
	return db.failed("release", db.again(ctx, func() error {
		return db.transact(ctx, beginWrite, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, giveBackJobs, db.owner, ids, targets, deliveries)
			return err
		})
	}))
}
