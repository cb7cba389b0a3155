package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// checkEncoding records whether the database can hold every letter. One that
// cannot gets other text encoded.
func (db *DB) checkEncoding(name string) {
	if name == "UTF8" || name == "" {
		return
	}
	db.ascii = true
	db.log.Warn("the encoding of the database does not hold every letter: text beyond ASCII is kept encoded there, and a search does not find it; create the database with ENCODING 'UTF8'", "code", telemetry.CodePostgresEncoding, "database", db.name, "encoding", name)
}

// findSchema finds the schema that has the tables, or will get them.
func (db *DB) findSchema(ctx context.Context, tx pgx.Tx) (exists bool, err error) {
	var schema, path string
	var may bool
	err = tx.QueryRow(ctx, `
		SELECT coalesce(n.nspname, current_schema(), ''), c.oid IS NOT NULL, current_setting('search_path'),
			coalesce(has_schema_privilege(coalesce(n.nspname, current_schema()), 'CREATE'), false)
		FROM (SELECT to_regclass('hookswitch_schema') AS oid) AS t
		LEFT JOIN pg_class AS c ON c.oid = t.oid LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace`).Scan(&schema, &exists, &path, &may)
	user := pgx.Identifier{db.conf.User}.Sanitize()
	switch {
	case err != nil:
		return false, err
	case schema == "":
		return false, fmt.Errorf("create tables: no schema of the search_path (%s) exists and may be used by %s: CREATE SCHEMA ... AUTHORIZATION %s, or name another one with search_path in HOOKSWITCH_STORE", path, user, user)
	case !exists && !may:
		name := pgx.Identifier{schema}.Sanitize()
		return false, fmt.Errorf("create tables: %s may not create tables in the schema %s, the first of its search_path: GRANT CREATE, USAGE ON SCHEMA %s TO %s, or let it own the schema or the database", user, name, name, user)
	}
	db.schema = schema
	return exists, nil
}

// checkServer warns of settings that make the server lose or hide rows.
func (db *DB) checkServer(ctx context.Context) error {
	var fsync string
	var hidden bool
	err := db.again(ctx, func() error {
		return db.transact(ctx, beginRead, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `SELECT current_setting('fsync'), row_security_active('hookswitch_events')
				OR row_security_active('hookswitch_jobs') OR row_security_active('hookswitch_records')
				OR row_security_active('hookswitch_attempts') OR row_security_active('hookswitch_owners')`).Scan(&fsync, &hidden)
		})
	})
	if err != nil {
		return err
	}
	if fsync == "off" {
		db.log.Warn("the PostgreSQL server runs with fsync=off: a power cut there loses acknowledged events; turn it on", "code", telemetry.CodePostgresUnsafe, "database", db.name)
	}
	if hidden {
		db.log.Warn("row-level security is on for a table of the store: rows that it hides from this user are never delivered; ALTER TABLE ... DISABLE ROW LEVEL SECURITY, or let this user own the tables", "code", telemetry.CodePostgresUnsafe, "database", db.name, "user", db.conf.User)
	}
	return nil
}
