package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// lease is this process's proof that it is alive.
type lease struct {
	nudge chan struct{} // of capacity 1: look at the claims now

	// since is when the lease began that has been kept without a gap. Only
	// keepLease uses it.
	since time.Time
}

// poke makes keepLease compare the claims soon.
func (l *lease) poke() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

const (
	// extend finds no row if the lease ran out and another sidecar has taken
	// the jobs.
	extend = `UPDATE hookswitch_owners SET expires_at = clock_timestamp() + $2 WHERE id = $1`

	enter = `INSERT INTO hookswitch_owners (id, expires_at) VALUES ($1, clock_timestamp() + $2)
		ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`

	peers = `SELECT count(*) FROM hookswitch_owners WHERE id <> $1 AND expires_at > clock_timestamp()`

	// shorten ends leases that seem to last longer than they can because the
	// server's clock was set back: those of dead sidecars would last for as
	// long as that. Living ones extend theirs anyway.
	shorten = `UPDATE hookswitch_owners SET expires_at = clock_timestamp() + $1::interval
		WHERE expires_at > clock_timestamp() + 2 * $1::interval`

	// reap frees the jobs of sidecars whose lease has run out, or that have
	// none.
	reap = `
WITH alive AS (
	SELECT id FROM hookswitch_owners WHERE expires_at > clock_timestamp()
), gone AS (
	DELETE FROM hookswitch_owners WHERE expires_at <= clock_timestamp() RETURNING id
)
UPDATE hookswitch_jobs SET owner = NULL
WHERE state = 'pending' AND owner IS NOT NULL AND owner NOT IN (SELECT id FROM alive) AND (SELECT count(*) FROM gone) >= 0
RETURNING target`

	// stray frees jobs claimed in this process's name that it does not know:
	// the answer to the claim was lost.
	stray = `UPDATE hookswitch_jobs SET owner = NULL
		WHERE state = 'pending' AND owner = $1 AND id <> ALL($2) RETURNING target`

	// waitingTargets selects the targets with unclaimed work. Each step skips
	// the jobs of one target.
	waitingTargets = `
WITH RECURSIVE t (target) AS (
	(SELECT target FROM hookswitch_jobs WHERE state = 'pending' AND owner IS NULL ORDER BY target LIMIT 1)
	UNION ALL
	SELECT (SELECT j.target FROM hookswitch_jobs AS j WHERE j.state = 'pending' AND j.owner IS NULL AND j.target > t.target ORDER BY j.target LIMIT 1)
	FROM t WHERE t.target IS NOT NULL
) SELECT target FROM t WHERE target IS NOT NULL`
)

// register begins the lease. Jobs left by an earlier run of this process are
// freed.
func (db *DB) register(ctx context.Context) error {
	err := db.transact(ctx, beginWrite, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, enter, db.owner, db.ttl); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, stray, db.owner, []int64{}); err != nil {
			return err
		}
		var others int64
		if err := tx.QueryRow(ctx, peers, db.owner).Scan(&others); err != nil {
			return err
		}
		db.notices.peers.Store(others)
		return nil
	})
	db.lease.since = time.Now()
	return err
}

// unregister ends the lease and frees the jobs still claimed.
func (db *DB) unregister(ctx context.Context) error {
	return db.again(ctx, func() error { return db.transact(ctx, beginWrite, db.leave(ctx)) })
}

func (db *DB) leave(ctx context.Context) func(pgx.Tx) error {
	return func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, stray, db.owner, []int64{}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM hookswitch_owners WHERE id = $1`, db.owner)
		return err
	}
}

// keepLease extends the lease three times while it lasts, until the store is
// closed. After each time it
//
//   - gives back jobs claimed in this process's name without its knowledge,
//   - frees the jobs of processes whose lease has run out, once its own has
//     lasted a full term without a gap: after an outage of the database the
//     living have then had time to report,
//   - wakes the targets that have work, so that nothing waits for a lost notice.
func (db *DB) keepLease() {
	beat := db.ttl / 3
	timer := time.NewTimer(beat)
	defer timer.Stop()
	last := time.Now() // when the lease was extended
	for {
		select {
		case <-db.background.Done():
			return
		case <-timer.C:
		case <-db.lease.nudge:
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(db.background, beat)
		targets, err := db.beat(ctx, began.Sub(last) > db.ttl)
		cancel()
		if err == nil {
			last = began
			db.wakeUp(targets)
			timer.Reset(beat)
			continue
		}
		if db.background.Err() == nil {
			db.log.Warn("cannot extend the lease: if that lasts, other sidecars take over the jobs of this one", "code", telemetry.CodeLeaseFailing, "lease", db.ttl, "error", db.explain("lease", err))
		}
		timer.Reset(beat / 3)
	}
}

// beat is one turn of keepLease. gap means that the lease may have run out since
// the last. It returns the targets that have work.
func (db *DB) beat(ctx context.Context, gap bool) (targets []string, err error) {
	extended, err := db.exec(ctx, extend, db.owner, db.ttl)
	if err != nil {
		return nil, err
	}
	if extended == 0 {
		if _, err := db.exec(ctx, enter, db.owner, db.ttl); err != nil {
			return nil, err
		}
		gap = true
		db.log.Warn("the lease had run out: other sidecars may have taken over the jobs of this one", "code", telemetry.CodeLeaseLost, "lease", db.ttl)
	}
	renewed, err := db.noteLife(ctx)
	if err != nil {
		return nil, err
	}
	if gap || renewed { // a new server may not know that the others are alive
		db.lease.since = time.Now()
	}
	if err := db.countPeers(ctx); err != nil { // before the first notice to them
		return nil, err
	}
	if err := db.reconcile(ctx); err != nil {
		return nil, err
	}
	if time.Since(db.lease.since) >= db.ttl {
		if _, err := db.exec(ctx, shorten, db.ttl); err != nil {
			return nil, err
		}
		freed, err := query(ctx, db, scanOne[string], reap)
		if err != nil && !passing(err) { // another one is reaping
			return nil, err
		}
		if len(freed) > 0 {
			db.log.Warn("took over the jobs of a sidecar that is gone", "code", telemetry.CodeTookOver, "jobs", len(freed))
			db.notices.add(freed)
		}
	}
	if renewed || time.Since(db.standbysAt) > standbysEvery*db.ttl {
		db.checkStandbys(ctx)
	}
	began := time.Now()
	if targets, err = db.waiting(ctx); err == nil {
		db.held.changed(targets...)
		db.held.looksGood(began)
	}
	return targets, err
}

// countPeers counts the sidecars that notices are for.
func (db *DB) countPeers(ctx context.Context) error {
	others, err := query(ctx, db, scanOne[int64], peers, db.owner)
	if err == nil {
		db.notices.peers.Store(others[0])
	}
	return err
}

// reconcile drops held jobs that the database does not know, and frees jobs that
// are claimed in this process's name but that it does not hold. No claim is under
// way meanwhile.
func (db *DB) reconcile(ctx context.Context) error {
	if db.held.gate.shut(ctx) != nil {
		return nil // a claim hangs: next time
	}
	defer db.held.gate.open()
	if err := db.confirm(ctx); err != nil {
		return err
	}
	freed, err := query(ctx, db, scanOne[string], stray, db.owner, db.held.list())
	if passing(err) {
		return nil // next time
	}
	db.notices.add(freed)
	return err
}

func (db *DB) waiting(ctx context.Context) ([]string, error) {
	return query(ctx, db, scanOne[string], waitingTargets)
}

// wakeUp hands targets to Watch, if it is running.
func (db *DB) wakeUp(targets []string) {
	db.held.changed(targets...)
	if len(targets) == 0 {
		return
	}
	for {
		select {
		case db.freed <- targets:
			return
		case before := <-db.freed:
			targets = append(before, targets...)
			if len(targets) > 1000 {
				targets = targets[len(targets)-1000:]
			}
		}
	}
}
