package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// A pooler such as PgBouncer may stand before the server. In transaction mode
// it gives each transaction whatever session is free. Then
//
//   - a prepared statement may be unknown, or known to be another one: nothing
//     is prepared by name, and statements are described in their transaction,
//   - settings of the session are those of whoever used it last: each
//     transaction says its own, see session.go,
//   - LISTEN hears nothing: Watch looks for work every pollPause.

// pollPause is the time between two looks for the work of other sidecars where
// LISTEN does not work.
const pollPause = time.Second

// dial opens a connection outside of the pool, with nothing prepared on it.
func (db *DB) dial(ctx context.Context) (*pgx.Conn, error) {
	cc := db.conf.Copy()
	cc.DefaultQueryExecMode = pgx.QueryExecModeExec
	db.hosts.prepare(cc)
	return pgx.ConnectConfig(ctx, cc)
}

// hangUp closes a connection without waiting for a server that is gone.
func hangUp(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}

// ask returns the first value of the answer to a question without arguments,
// which no pooler minds.
func ask(ctx context.Context, conn *pgx.Conn, text string) (string, error) {
	results, err := conn.PgConn().Exec(ctx, text).ReadAll()
	if err != nil {
		return "", err
	}
	last := results[len(results)-1]
	if len(last.Rows) == 0 || len(last.Rows[0]) == 0 {
		return "", nil
	}
	return string(last.Rows[0][0]), nil
}

// meet finds out what stands between us and the server.
func (db *DB) meet(ctx context.Context) error {
	conn, err := db.dial(ctx)
	if err != nil {
		return err
	}
	defer func() { hangUp(conn) }()
	db.checkEncoding(conn.PgConn().ParameterStatus("server_encoding"))
	pid, err := ask(ctx, conn, `SELECT pg_backend_pid()`)
	if err != nil || pid == fmt.Sprint(conn.PgConn().PID()) {
		return err
	}
	db.between.Store(true) // what greeted us is not what answers
	transactions, err := db.sharesSessions(ctx, conn)
	if err != nil {
		return err
	}
	if transactions {
		db.foundPooler()
	}
	return nil
}

// sharesSessions reports whether a pooler gives a session away between the
// transactions of conn. When in doubt it does: what is right there is right
// everywhere.
func (db *DB) sharesSessions(ctx context.Context, conn *pgx.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	other, err := db.dial(ctx)
	if err != nil {
		return true, nil // it may let nobody else in
	}
	defer hangUp(other)
	for range 3 {
		before, err := ask(ctx, conn, `SELECT pg_backend_pid()`)
		if err != nil {
			return true, nil
		}
		theirs, err := ask(ctx, other, `begin; SELECT pg_backend_pid()`)
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code != "53300" {
			return true, err // it does not allow transactions
		}
		if err != nil {
			return true, nil
		}
		after, err := ask(ctx, conn, `SELECT pg_backend_pid()`)
		if _, rollback := ask(ctx, other, `rollback`); err != nil || rollback != nil || after != before || theirs == before {
			return true, nil
		}
	}
	return false, nil
}

// foundPooler goes on without prepared statements.
func (db *DB) foundPooler() {
	db.between.Store(true)
	if !db.pooled.CompareAndSwap(false, true) {
		return
	}
	db.log.Warn("a connection pooler in transaction mode stands before the database: statements are not prepared, and the work of other sidecars is looked for every so often, because LISTEN hears nothing there; connect to the server directly, or to a pool in session mode, to be told at once",
		"code", telemetry.CodePostgresPooler, "database", db.name, "every", pollPause)
}

// pooledStatements reports whether the server knows the prepared statements of
// somebody else: what a pooler in transaction mode does.
func pooledStatements(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "42P05" || pe.Code == "26000")
}

// distrust drops the connections that were made before now, unless that has
// happened since conn was made. Those that are being made stay: to drop them
// would mean never to reach a second host.
func (db *DB) distrust(conn *pgx.Conn) {
	if made, ok := conn.PgConn().CustomData()[customEpoch].(int64); ok {
		db.epoch.CompareAndSwap(made, made+1)
	}
}

// trusted reports whether a connection of the pool may be used.
func (db *DB) trusted(_ context.Context, conn *pgx.Conn) (bool, error) {
	return conn.PgConn().CustomData()[customEpoch] == db.epoch.Load(), nil
}
