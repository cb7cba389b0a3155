package postgres

import (
	"context"
	"sync"
)

// gate lets claims through, any number at a time, and can be shut against them.
// Unlike a lock it can be waited for with a context: whoever compares the claims
// must not hang behind a commit that does not return, since the lease is renewed
// by the same goroutine. The zero value is open.
type gate struct {
	mu       sync.Mutex
	inside   int
	opened   chan struct{} // closed when the gate is opened; nil while it is open
	deserted chan struct{} // closed when nobody is inside; nil unless it is waited for
}

// enter waits until the gate is open.
func (g *gate) enter() {
	for {
		g.mu.Lock()
		opened := g.opened
		if opened == nil {
			g.inside++
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		<-opened
	}
}

// pass enters if the gate is open now, and reports whether it was.
func (g *gate) pass() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.opened != nil {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inside--; g.inside == 0 && g.deserted != nil {
		close(g.deserted)
		g.deserted = nil
	}
}

// shut keeps others out and returns when nobody is inside; open must be called
// then. If ctx ends earlier it returns the error of ctx, and the gate is open.
func (g *gate) shut(ctx context.Context) error {
	for {
		g.mu.Lock()
		other := g.opened
		if other == nil {
			break
		}
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	g.opened = make(chan struct{})
	if g.inside == 0 {
		g.mu.Unlock()
		return nil
	}
	deserted := make(chan struct{})
	g.deserted = deserted
	g.mu.Unlock()
	select {
	case <-deserted:
		return nil
	case <-ctx.Done():
		g.open()
		return ctx.Err()
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.opened)
	g.opened, g.deserted = nil, nil
}
