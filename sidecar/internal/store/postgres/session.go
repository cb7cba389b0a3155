package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A transaction sets everything it relies on: a role, a database, the server, or
// another client behind the same pooler may have changed the session. That travels
// with the transaction's statements and costs no round trip.
const (
	// The statements are written for READ COMMITTED: a later one sees what was
	// committed before it locked its rows.
	beginWrite = `begin isolation level read committed read write`
	beginRead  = `begin isolation level repeatable read read only`

	// A commit returns when it is on the server's disk. Settings that wait for
	// more than that, such as remote_apply, stay as they are.
	setDurable = `set_config('synchronous_commit', CASE WHEN current_setting('synchronous_commit') IN ('off', 'local')
		THEN 'on' ELSE current_setting('synchronous_commit') END, true)`
)

// byKey makes a transaction look up each row by its key. It is for statements that get
// many keys in lists: a server whose statistics are of small tables would read the whole
// table instead, and keep to that plan while the table grows.
const byKey = `, set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
	set_config('enable_nestloop', 'on', true), set_config('enable_indexscan', 'on', true), set_config('jit', 'off', true)`

// pin returns the first statement of each transaction.
func (db *DB) pin() string {
	if db.schema == "" { // while opening, before it is known
		return `SELECT ` + setDurable
	}
	return `SELECT ` + setDurable + `, set_config('search_path', ` + quoteText(pgx.Identifier{db.schema}.Sanitize()) + `, true)`
}

// quoteText returns s as a literal that means the same whether or not
// standard_conforming_strings is on.
func quoteText(s string) string {
	s = strings.ReplaceAll(s, `'`, `''`)
	if strings.Contains(s, `\`) {
		return ` E'` + strings.ReplaceAll(s, `\`, `\\`) + `'`
	}
	return `'` + s + `'`
}

// with lends fn a connection of the pool. The context of fn ends when the server
// turns out to be gone.
func (db *DB) with(ctx context.Context, fn func(context.Context, *pgx.Conn) error) error {
	c, err := db.pool.Acquire(ctx)
	if err != nil {
		return db.hosts.unconnected(err)
	}
	defer c.Release()
	u := db.stalls.begin(ctx, c.Conn())
	err = u.end(fn(u.ctx, c.Conn()))
	if disconnected(err) {
		db.distrust(c.Conn()) // the others are as dead as this one
	}
	if pooledStatements(err) {
		db.foundPooler()
		db.distrust(c.Conn())
	}
	return err
}

// transact runs fn in a transaction that begins as begin says.
func (db *DB) transact(ctx context.Context, begin string, fn func(pgx.Tx) error) error {
	return db.transactWith(ctx, begin, "", fn)
}

func (db *DB) transactWith(ctx context.Context, begin, settings string, fn func(pgx.Tx) error) error {
	return db.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{BeginQuery: begin + `; ` + db.pin() + settings}, func(tx pgx.Tx) error {
			if db.ascii {
				tx = asciiTx{tx}
			}
			return fn(tx)
		})
	})
}

// send runs the statements added by queue as one transaction, in one round trip.
// Through a pooler it takes three: statements are described there, and that must
// happen in the transaction too.
//
// settings are more of those that a transaction begins with, such as byKey.
func (db *DB) send(ctx context.Context, settings string, queue func(*pgx.Batch)) error {
	if db.pooled.Load() {
		return db.transactWith(ctx, beginWrite, settings, func(tx pgx.Tx) error {
			b := new(pgx.Batch)
			queue(b)
			return tx.SendBatch(ctx, b).Close()
		})
	}
	return db.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		b := new(pgx.Batch)
		b.Queue(beginWrite)
		b.Queue(db.pin() + settings)
		queue(b)
		b.Queue(`commit`)
		err := conn.SendBatch(ctx, b).Close()
		if !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' { // the commit was skipped
			_, _ = conn.Exec(ctx, `rollback`) // if that fails the connection is not used again
		}
		return err
	})
}

// query runs one statement as a transaction and returns its rows.
func query[T any](ctx context.Context, db *DB, scan func(pgx.Rows) (T, error), text string, args ...any) (all []T, err error) {
	err = db.send(ctx, "", func(b *pgx.Batch) {
		b.Queue(text, db.args(args)...).Query(func(rows pgx.Rows) (err error) {
			all, err = collect(rows, scan)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// exec runs one statement as a transaction and returns the number of changed rows.
func (db *DB) exec(ctx context.Context, text string, args ...any) (changed int64, err error) {
	err = db.send(ctx, "", func(b *pgx.Batch) {
		b.Queue(text, db.args(args)...).Exec(func(tag pgconn.CommandTag) error {
			changed = tag.RowsAffected()
			return nil
		})
	})
	return changed, err
}

func (db *DB) args(list []any) []any {
	if db.ascii {
		return asciiArgs(list)
	}
	return list
}
