package sidecar

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// TestPartsStopInOrder: each part works until those before it have stopped, and
// the error of one is not lost.
func TestPartsStopInOrder(t *testing.T) {
	var order []string // parts stop one after the other
	bad := errors.New("bad")
	work := func(name string, err error) func(context.Context) error {
		return func(ctx context.Context) error {
			<-ctx.Done()
			order = append(order, name)
			return err
		}
	}
	step := func(name string) func(context.Context) {
		return func(ctx context.Context) {
			if ctx.Err() != nil {
				t.Errorf("the context of %s has ended", name)
			}
			order = append(order, name)
		}
	}
	failed, stop := start(t.Context(), []part{
		{run: work("one", nil)},
		{run: work("two", bad), then: step("after two")},
		{then: step("three")},
		{run: work("four", nil)},
	})
	stop()
	if want := []string{"one", "two", "after two", "three", "four"}; !slices.Equal(order, want) {
		t.Errorf("stopped %q, want %q", order, want)
	}
	if err := <-failed; err != bad {
		t.Errorf("failed with %v, want %v", err, bad)
	}
	if err, more := <-failed; more {
		t.Errorf("failed with %v as well", err)
	}
}
