package postgres

// Kill ends the store as a killed process does: nothing is given back.
func (db *DB) Kill() {
	db.close = func() error { return nil }
	close(db.closing)
	db.stop()
	db.tasks.Wait()
	db.accepts.queue.Wait()
	db.finishes.queue.Wait()
	db.pool.Close()
}

// Beat is one turn of the lease.
func (db *DB) Beat() { db.lease.poke() }

// MaxGroupOps is how many operations there may be in a group.
func MaxGroupOps() int { return maxGroupOps }

// SetMaxGroupOps sets that, before the first operation.
func (db *DB) SetMaxGroupOps(n int) { db.accepts.queue.MaxOps, db.finishes.queue.MaxOps = n, n }

// Exposed says why a failover can lose events.
func Exposed(synchronous, named bool, count, promoted int64) string {
	return standbys{synchronous, named, count, promoted}.exposed()
}

// Outgrown is the question for tables to be analysed.
const Outgrown = outgrown
