package pluginhost

import (
	"context"
	"sync"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost/catalog"
)

// order is the state that a plugin should be in.
type order struct {
	gen     int           // counts the orders
	file    catalog.Entry // what is in the plugin directory
	enabled bool
	force   bool // start a new process even if it would be the same, and try again what failed

	rollback bool // it is to go back to an older program
}

// orders hands a plugin's supervisor the latest order, and tells callers how their
// order ended. It is safe for concurrent use.
type orders struct {
	mu      sync.Mutex
	order   order
	done    int   // the latest order that is decided
	err     error // its result
	given   chan struct{}
	settled chan struct{}
}

func newOrders(o order) *orders {
	o.gen = 1
	return &orders{order: o, given: make(chan struct{}), settled: make(chan struct{})}
}

// give changes the order and returns its number.
func (o *orders) give(change func(*order)) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done >= o.order.gen {
		o.order.force, o.order.rollback = false, false // that was the order before
	}
	change(&o.order)
	o.order.gen++
	close(o.given)
	o.given = make(chan struct{})
	return o.order.gen
}

func (o *orders) get() order {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.order
}

// changed returns a channel that is closed by the next order.
func (o *orders) changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.given
}

// decided records the result of an order.
func (o *orders) decided(gen int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if gen <= o.done {
		return
	}
	o.done, o.err = gen, err
	close(o.settled)
	o.settled = make(chan struct{})
}

func (o *orders) isDecided(gen int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return gen <= o.done
}

// wait waits until an order, or a later one, is decided, and returns the result.
func (o *orders) wait(ctx context.Context, gen int, gone <-chan struct{}) error {
	for {
		o.mu.Lock()
		done, err, settled := o.done, o.err, o.settled
		o.mu.Unlock()
		if done >= gen {
			return err
		}
		select {
		case <-settled:
		case <-gone:
			return ErrStopped
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
