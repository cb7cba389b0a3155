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

// A pooler such as PgBouncer may be between us and the server. In transaction mode
// it gives each transaction whatever session is free. Then
//
//   - a prepared statement may be unknown, or be another one: nothing is
//     prepared by name, and statements are described in their transaction,
//   - session settings are those of its last user: each transaction brings its
//     own, see session.go,
//   - LISTEN hears nothing: Watch looks for work every pollPause.

// pollPause is the time between two looks for the work of other sidecars where
// LISTEN does not work.
const pollPause = time.Second

// dial opens a connection outside the pool, with nothing prepared on it.
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

// ask returns the first value of the result of a query without arguments, which
// every pooler allows.
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

// meet finds out what is between us and the server.
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
	db.between.Store(true) // the greeting did not come from the server that answers
	transactions, err := db.sharesSessions(ctx, conn)
	if err != nil {
		return err
	}
	if transactions {
		db.foundPooler()
	}
	return nil
}

// sharesSessions reports whether a pooler gives the session to others between the
// transactions of conn. When in doubt it says so: what works there works
// everywhere.
func (db *DB) sharesSessions(ctx context.Context, conn *pgx.Conn) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	other, err := db.dial(ctx)
	if err != nil {
		return true, nil // it may admit no second connection
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

// foundPooler makes the store continue without prepared statements.
func (db *DB) foundPooler() {
	db.between.Store(true)
	if !db.pooled.CompareAndSwap(false, true) {
		return
	}
	db.log.Warn("there is a connection pooler in transaction mode before the database: statements are not prepared, and the sidecar polls for the work of others, because LISTEN hears nothing there; connect to the server directly, or to a pool in session mode, to be told at once",
		"code", telemetry.CodePostgresPooler, "database", db.name, "every", pollPause)
}

// pooledStatements reports whether the server knows prepared statements of
// another client, as behind a pooler in transaction mode.
func pooledStatements(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (pe.Code == "42P05" || pe.Code == "26000")
}

// distrust drops the connections made before now, unless that has happened since
// conn was made. Those being made stay: dropping them would mean never reaching a
// second host.
func (db *DB) distrust(conn *pgx.Conn) {
	if made, ok := conn.PgConn().CustomData()[customEpoch].(int64); ok {
		db.epoch.CompareAndSwap(made, made+1)
	}
}

// trusted reports whether a connection of the pool may be used.
func (db *DB) trusted(_ context.Context, conn *pgx.Conn) (bool, error) {
	return conn.PgConn().CustomData()[customEpoch] == db.epoch.Load(), nil
}
