// Package batch lets callers share a commit: operations that arrive while one
// commit is under way are in the next one together. It decides who is in a
// batch, and how long a caller waits; what a batch does, and what happens when
// it fails, is for the store to say.
package batch

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Op is an operation that a caller waits for. Operations embed one.
type Op struct {
	size int
	done chan error

	// state decides the race between a caller whose context ends and a
	// worker: the one that moves it away from waiting wins.
	state atomic.Int32
}

const (
	waiting int32 = iota
	taken
	withdrawn
)

// NewOp returns the Op of an operation of about so many bytes.
func NewOp(size int) Op { return Op{size: size, done: make(chan error, 1)} }

// Size returns about how many bytes the operation writes.
func (o *Op) Size() int { return o.size }

// Answer tells the caller how the operation ended. It is called once for each
// operation of a batch.
func (o *Op) Answer(err error) { o.done <- err }

func (o *Op) base() *Op { return o }

// Operation is a pointer to a struct that embeds an Op.
type Operation interface {
	Answer(error)
	base() *Op
}

// Left is the error of a caller whose context ended before there was an answer.
type Left struct {
	Cause    error
	UnderWay bool // the operation was in a batch already, and may have been made
}

func (l *Left) Error() string {
	if l.UnderWay {
		return l.Cause.Error() + ": the commit was under way and may have happened"
	}
	return l.Cause.Error()
}

func (l *Left) Unwrap() error { return l.Cause }

// Queue holds operations until a worker takes them.
type Queue[T Operation] struct {
	// MaxOps and MaxBytes bound a batch, so that its first operation does not
	// wait for too many others. They are set before Serve.
	MaxOps, MaxBytes int

	ops     chan T
	closing <-chan struct{} // closed by the store: no further operation starts
	stopped chan struct{}   // closed by Serve when the last one is answered
}

// New returns a Queue that ends when closing is closed.
func New[T Operation](maxOps, maxBytes int, closing <-chan struct{}) *Queue[T] {
	return &Queue[T]{MaxOps: maxOps, MaxBytes: maxBytes, ops: make(chan T, maxOps), closing: closing, stopped: make(chan struct{})}
}

// Do hands an operation over and returns its answer. If ctx ends earlier it
// returns a [Left] at once: before the operation was taken into a batch it is not
// made at all, afterwards it may be. After closing it returns [store.ErrClosed].
func (q *Queue[T]) Do(ctx context.Context, operation T) error {
	select {
	case <-q.closing:
		return store.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return &Left{Cause: err}
	}
	o := operation.base()
	select {
	case q.ops <- operation:
	case <-ctx.Done():
		return &Left{Cause: ctx.Err()}
	case <-q.stopped:
		return store.ErrClosed
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return &Left{Cause: ctx.Err(), UnderWay: !o.state.CompareAndSwap(waiting, withdrawn)}
	case <-q.stopped:
		if o.state.CompareAndSwap(waiting, withdrawn) {
			return store.ErrClosed // sent in the moment the last worker left
		}
		return <-o.done
	}
}

// Serve calls commit with one batch after the other, from several workers, and
// returns when every operation is answered after closing. A batch is not empty.
func (q *Queue[T]) Serve(workers int, commit func([]T)) {
	defer close(q.stopped)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { q.serve(commit) })
	}
	all.Wait()
}

// Wait returns when Serve has.
func (q *Queue[T]) Wait() { <-q.stopped }

// Waiting returns how many operations are in no batch yet.
func (q *Queue[T]) Waiting() int { return len(q.ops) }

func (q *Queue[T]) serve(commit func([]T)) {
	take := func(first T) {
		if batch := q.gather(first); len(batch) > 0 {
			commit(batch)
		}
	}
	for {
		select {
		case first := <-q.ops:
			take(first)
		case <-q.closing:
			for {
				select {
				case first := <-q.ops:
					take(first)
				default:
					return
				}
			}
		}
	}
}

// gather takes what waits. Then it lets the goroutines run that are ready to,
// and takes what they bring, until that is nothing: under load most of them are
// handlers about to hand over an event, and a commit costs as much as many
// inserts. When nobody is ready to run that takes no time, and a lonely operation
// is not held back by a timer.
func (q *Queue[T]) gather(first T) []T {
	var batch []T
	size := 0
	for o, had := first, 0; ; {
		if op := o.base(); op.state.CompareAndSwap(waiting, taken) {
			batch = append(batch, o)
			size += op.size
		}
		if len(batch) >= q.MaxOps || size >= q.MaxBytes {
			return batch
		}
		select {
		case o = <-q.ops:
			continue
		default:
		}
		if len(batch) == had {
			return batch
		}
		had = len(batch)
		runtime.Gosched()
		select {
		case o = <-q.ops:
		default:
			return batch
		}
	}
}
