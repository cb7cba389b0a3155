package postgres

import (
	"context"
	"time"
)

// Without statistics the server assumes that a table is small: a claim by entity
// among 200,000 waiting jobs looks at all of them. Autovacuum takes care of that
// within a minute or more, if it runs; a backlog grows faster.
const (
	// statisticsPause is the time between two checks.
	statisticsPause = 5 * time.Second

	// outgrown selects tables that are far larger than when they were
	// analysed. Those of another role are left out: the server would skip
	// them too, and log a warning each time.
	outgrown = `
SELECT relname::text FROM pg_class
WHERE oid = ANY(ARRAY['hookswitch_events', 'hookswitch_jobs', 'hookswitch_records', 'hookswitch_attempts']::regclass[])
	AND pg_has_role(relowner, 'USAGE')
	AND pg_relation_size(oid) > 1000000 + 4 * relpages::bigint * current_setting('block_size')::bigint`
)

// keepStatistics has the server analyse tables that have grown, until the store is
// closed. A role that does not own the tables cannot.
func (db *DB) keepStatistics() {
	for ctx := db.background; ctx.Err() == nil; pause(ctx, statisticsPause) {
		db.analyse(ctx)
	}
}

func (db *DB) analyse(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tables, err := query(ctx, db, scanOne[string], outgrown)
	for _, table := range tables {
		if err == nil {
			_, err = db.exec(ctx, `ANALYZE `+table)
		}
	}
	if err != nil && db.background.Err() == nil {
		db.log.Debug("the tables were not analysed", "error", db.explain("analyse", err))
	}
}
