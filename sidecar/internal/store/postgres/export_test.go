package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Kill ends the store as a killed process does: nothing is given back.
func (db *DB) Kill() {
	db.close = func() error { return nil }
	close(db.closing)
	db.stop()
	db.tasks.Wait()
	db.accepts.queue.Wait()
	db.finishes.queue.Wait()
	db.releases.Wait()
	db.pool.Close()
}

// ShutGate keeps claims out, as while they are compared, until open is called.
func (db *DB) ShutGate(ctx context.Context) (open func(), err error) {
	return db.held.gate.open, db.held.gate.shut(ctx)
}

// GiveBack is what Release does until it answers.
func (db *DB) GiveBack(ctx context.Context, t delivery.Task) error {
	_, err := db.giveBackAll(ctx, []delivery.Task{t})
	return err
}

// Beat is one turn of the lease.
func (db *DB) Beat() { db.lease.poke() }

// MaxGroupOps is how many operations there may be in a group.
func MaxGroupOps() int { return maxGroupOps }

// SetMaxGroupOps sets that, before the first operation.
func (db *DB) SetMaxGroupOps(n int) { db.accepts.queue.MaxOps, db.finishes.queue.MaxOps = n, n }

// Migrations are the statements that lead to each schema.
var Migrations = migrations

// Exposed says why a failover can lose events.
func Exposed(synchronous, named bool, count, promoted int64) string {
	return standbys{synchronous, named, count, promoted}.exposed()
}

// Outgrown is the question for tables to be analysed.
const Outgrown = outgrown

// TriedBy returns the host that readiness would name after a dial: of an attempt to
// connect, or else of a request to cancel.
func TriedBy(cc *pgx.ConnConfig, attempt bool) string {
	var h hosts
	ctx := context.Background()
	if attempt {
		ctx = connectTracer{&h}.TraceConnectStart(ctx, pgx.TraceConnectStartData{})
	}
	h.prepare(cc)
	if conn, err := cc.DialFunc(ctx, "tcp", hostPort(cc.Host, cc.Port)); err == nil {
		_ = conn.Close()
	}
	return h.trying
}
