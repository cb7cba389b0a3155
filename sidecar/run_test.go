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

// TestOrderOfStopping: what a part needs works longer than the part.
func TestOrderOfStopping(t *testing.T) {
	at := make(map[string]int)
	for i, p := range new(Sidecar).parts() {
		at[p.name] = i + 1
	}
	for _, tt := range []struct{ first, then, why string }{
		{"upkeep", "accept", "the files are not made again while they go"},
		{"accept", "dispatch", "an answer may be that of a target"},
		{"accept", "certificate", "connections are still made"},
		{"replays", "dispatch", "a replay is dispatched"},
		{"retention", "dispatch", "nothing that is being recorded is removed"},
		{"dispatch", "plugins", "attempts under way end in a plugin that is there"},
		{"plugins", "notify", "the service manager hears of a drain that takes long"},
		{"plugins", "alerts", "a dead letter of the last attempt is told"},
		{"alerts", "metrics", "the last counts can be read"},
		{"metrics", "socket", "operators watch to the end"},
		{"feed", "socket", "viewers have seen the end and need not be waited for"},
		{"feed", "admin", "viewers have seen the end and need not be waited for"},
	} {
		if a, b := at[tt.first], at[tt.then]; a == 0 || b == 0 || a > b {
			t.Errorf("%s (%d) does not stop before %s (%d): %s", tt.first, a, tt.then, b, tt.why)
		}
	}
}
