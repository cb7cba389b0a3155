package postgres

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.enter()
		g.enter()
		shut := make(chan error, 1)
		go func() { shut <- g.shut(t.Context()) }()
		synctest.Wait()
		entered := make(chan struct{})
		go func() { g.enter(); close(entered) }()
		g.leave()
		synctest.Wait()
		select {
		case <-shut:
			t.Fatal("it is shut while somebody is inside")
		case <-entered:
			t.Fatal("one entered while it was being shut")
		default:
		}
		g.leave()
		if err := <-shut; err != nil {
			t.Fatal(err)
		}
		second := make(chan error, 1)
		go func() { second <- g.shut(t.Context()) }()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("one entered while it was shut")
		case <-second:
			t.Fatal("it was shut twice")
		default:
		}
		g.open()
		synctest.Wait()
		select {
		case <-entered: // before the second shut, which waits for it to leave
			g.leave()
			<-second
			g.open()
		case <-second:
			g.open()
			<-entered
			g.leave()
		}
	})
}

// A claim that hangs does not keep the gate shut against the others.
func TestGateThatCannotBeShut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.enter()
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := g.shut(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("shut while somebody is inside: %v", err)
			}
			cancel()
			g.enter()
			g.leave()
		}
		g.leave()
		if err := g.shut(t.Context()); err != nil {
			t.Error(err)
		}
		g.open()
	})
}
