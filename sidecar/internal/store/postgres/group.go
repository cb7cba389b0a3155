package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/internal/batch"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// A group is bounded so that its first operation does not wait for too
	// many others, and a statement stays of a size that servers like.
	maxGroupOps   = 512
	maxGroupBytes = 8 << 20

	// committers is how many groups of one kind are under way at a time. The
	// server syncs the commits of several together, and while one waits for
	// that, the next group travels.
	committers = 2

	// groupTime bounds a group: a connection that died silently must not
	// hold up later groups. Callers have their own, shorter time.
	groupTime = 10 * time.Second
)

// operation is a pointer to a struct that begins with a batch.Op.
type operation interface {
	batch.Operation

	// tame changes the operation so that a server which has refused its text
	// may accept it, and reports whether there was anything left to change.
	tame() bool
}

// group makes one transaction of the operations waiting at the same time.
type group[T operation] struct {
	db    *DB
	queue *batch.Queue[T]

	// commit runs the operations in one transaction. Either it fails, and
	// the error is that of all, or each has an error of its own in errs.
	// repeated says that an earlier try may have been committed.
	commit func(ctx context.Context, ops []T, errs []error, repeated bool) error
}

func newGroup[T operation](db *DB, commit func(context.Context, []T, []error, bool) error) *group[T] {
	g := &group[T]{db: db, queue: batch.New[T](maxGroupOps, maxGroupBytes, db.closing), commit: commit}
	go g.queue.Serve(committers, g.run)
	return g
}

// do hands an operation over and returns after its commit. If ctx ends earlier it
// returns at once: an operation not yet taken into a group is then not made at all,
// one that was may be.
func (g *group[T]) do(ctx context.Context, name string, o T) error {
	err := g.queue.Do(ctx, o)
	left, gone := errors.AsType[*batch.Left](err)
	switch {
	case gone:
		why := ""
		if left.UnderWay {
			why = g.db.stalls.why()
		}
		if why != "" {
			why = ": " + why
		}
		return fmt.Errorf("postgres: %s: %w%s", name, left, why)
	case err == nil, err == store.ErrClosed, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrStale):
		return err
	}
	return g.db.explain(name, err)
}

// run commits a group and answers.
func (g *group[T]) run(ops []T) {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	errs := make([]error, len(ops))
	err := g.try(ctx, ops, errs)
	if spoiled(err) {
		// One operation failed: the others must not suffer.
		err = nil
		for i := range ops {
			if e := g.alone(ctx, ops[i:i+1], errs[i:i+1]); e != nil {
				errs[i] = e
			}
		}
	}
	if err != nil {
		g.db.log.Error("store commit failed", "code", telemetry.CodeCommitFailed, "operations", len(ops), "error", g.db.explain("commit", err))
	}
	for i, o := range ops {
		if err != nil {
			errs[i] = err
		}
		o.Answer(errs[i])
	}
}

// alone commits an operation that may have spoiled its group.
func (g *group[T]) alone(ctx context.Context, op []T, errs []error) error {
	err := g.try(ctx, op, errs)
	refused := err
	for refusedText(err) && op[0].tame() {
		err = g.try(ctx, op, errs)
	}
	if err == nil && refused != nil {
		g.db.log.Warn("the database refused a text, which was stored in another form or left out", "code", telemetry.CodeTextRefused, "error", g.db.explain("commit", refused))
	}
	return err
}

// try commits, and again if the connection was lost or another transaction was in the
// way. Doing an operation twice is harmless.
func (g *group[T]) try(ctx context.Context, ops []T, errs []error) error {
	repeated := false
	for n := 1; ; n++ {
		began := time.Now()
		err := g.commit(ctx, ops, errs, repeated)
		if g.db.onCommit != nil {
			g.db.onCommit(time.Since(began), err)
		}
		switch {
		case err == nil, n == 4, ctx.Err() != nil:
			return err
		case disconnected(err):
			repeated = repeated || !pgconn.SafeToRetry(err)
		case !passing(err):
			return err
		}
	}
}

// spoiled reports whether the server refused the data rather than the transaction.
func spoiled(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pe.Code, "23") || refusedText(err) // integrity constraint violation
}

// refusedText reports whether the server refused a value itself, such as a letter that
// its encoding lacks.
func refusedText(err error) bool {
	pe, ok := errors.AsType[*pgconn.PgError](err)
	return ok && strings.HasPrefix(pe.Code, "22") // data exception
}
