package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
// statement.
func (db *DB) Release(ctx context.Context, t delivery.Task) error {
	err := db.releases.Do(ctx, &releaseOp{Op: batch.NewOp(0), t: t})
	if left, gone := errors.AsType[*batch.Left](err); gone {
		if !left.UnderWay { // else it is given back all the same
			db.held.forget(t.Job.ID, t.Event.DeliveryID, t.Job.Target, t.Job.Attempts)
			db.lease.poke()
		}
		err = fmt.Errorf("postgres: release: %w", left)
	}
	return err
}

// releaseAll gives back the jobs of a group of Releases.
func (db *DB) releaseAll(ops []*releaseOp) {
	tasks := make([]delivery.Task, len(ops))
	for i, o := range ops {
		tasks[i] = o.t
	}
	_, err := db.giveBackAll(context.Background(), tasks)
	for _, o := range ops {
		o.Answer(err)
	}
}

// giveBackAll gives back claimed jobs, and returns their targets. No claim is under
// way meanwhile: if one took a job again after a statement whose answer was lost,
// repeating the statement would undo it; and while a job is held, a claim of it is
// taken for one that is known. So it must be short. Whatever becomes of it, the jobs
// are no longer held, so that the lease gives back what it could not.
func (db *DB) giveBackAll(ctx context.Context, tasks []delivery.Task) (targets []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(db.ttl/2, groupTime))
	defer cancel()
	err = db.held.gate.shut(ctx)
	if err == nil {
		defer db.held.gate.open()
		err = db.again(ctx, func() error { return db.transact(ctx, beginWrite, releasing(ctx, db.owner, tasks)) })
	}
	for _, t := range tasks {
		db.held.forget(t.Job.ID, t.Event.DeliveryID, t.Job.Target, t.Job.Attempts)
		if !slices.Contains(targets, t.Job.Target) {
			targets = append(targets, t.Job.Target)
		}
	}
	db.held.changed(targets...)
	if err != nil {
		db.lease.poke()
		return targets, db.failed("release", err)
	}
	db.notices.add(targets)
	return targets, nil
}

func releasing(ctx context.Context, owner string, tasks []delivery.Task) func(pgx.Tx) error {
	var ids []int64
	var targets, deliveries []string
	for _, t := range tasks {
		ids, targets, deliveries = append(ids, t.Job.ID), append(targets, t.Job.Target), append(deliveries, wrap(t.Event.DeliveryID))
	}
	return func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, giveBackJobs, owner, ids, targets, deliveries)
		return err
	}
}
