package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

func contextWithCancel(t *testing.T) (context.Context, func()) {
	return context.WithCancel(t.Context())
}

// numbers returns the n of the events that q selects, in the order of pages.
func numbers(t *testing.T, s store.Store, q store.Query, limit int) (list []int) {
	t.Helper()
	for before := int64(0); ; {
		page, err := s.Events(t.Context(), q, before, limit)
		if err != nil {
			t.Fatalf("events: %v", err)
		}
		if len(page.Deliveries) > limit {
			t.Fatalf("a page of %d has %d events", limit, len(page.Deliveries))
		}
		for _, d := range page.Deliveries {
			var n int
			if _, err := fmt.Sscanf(d.Event.ID, "%08d-", &n); err != nil {
				t.Fatal(err)
			}
			list = append(list, n)
		}
		if page.Next == 0 {
			return list
		}
		if before != 0 && page.Next >= before {
			t.Fatalf("page after %d goes on at %d", before, page.Next)
		}
		before = page.Next
	}
}

// variety stores an event for each status: 0 pending, 1 retrying, 2 done,
// 3 dead, 4 discarded, 5 unhandled, and 6 done at one target and dead at
// another.
func variety(t *testing.T, s store.Store) {
	t.Helper()
	outcomes := []struct {
		outcome delivery.Outcome
		state   delivery.State
	}{1: {delivery.OutcomeRetry, delivery.Pending}, {delivery.OutcomeDone, delivery.Done}, {delivery.OutcomeFailed, delivery.Dead}, {delivery.OutcomeFailed, delivery.Dead}}
	for n := range 7 {
		e := newEvent(n)
		e.Type = []string{"message.received", "message.sent", "message.received", "call.hangup", "call.hangup", "fax.received", "message.received"}[n]
		e.Body = fmt.Appendf(nil, `{"text":"number %d 50%% _"}`, n)
		name := fmt.Sprintf("plugin:%d", n)
		switch n {
		case 5:
			accept(t, s, e)
		case 6:
			accept(t, s, e, "plugin:2", "plugin:3")
			complete(t, s, "plugin:2", delivery.OutcomeDone, delivery.Done)
			complete(t, s, "plugin:3", delivery.OutcomeFailed, delivery.Dead)
		default:
			accept(t, s, e, name)
			if n > 0 {
				task := claim(t, s, name, farFuture, 1)[0]
				finish(t, s, attempt(task, outcomes[n].outcome), outcomes[n].state, t0)
			}
		}
	}
	if n, err := s.Discard(t.Context(), store.Query{Target: "plugin:4"}); err != nil || n != 1 {
		t.Fatalf("discard: %d, %v", n, err)
	}
}

func queryFields(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	id := newEvent(3).ID
	for _, tt := range []struct {
		name string
		q    store.Query
		want []int
	}{
		{"all", store.Query{}, []int{6, 5, 4, 3, 2, 1, 0}},
		{"pending", store.Query{Status: store.StatusPending}, []int{1, 0}},
		{"retrying", store.Query{Status: store.StatusRetrying}, []int{1}},
		{"done", store.Query{Status: store.StatusDone}, []int{6, 2}},
		{"dead", store.Query{Status: store.StatusDead}, []int{6, 3}},
		{"discarded", store.Query{Status: store.StatusDiscarded}, []int{4}},
		{"unhandled", store.Query{Status: store.StatusUnhandled}, []int{5}},
		{"unhandled at a target", store.Query{Status: store.StatusUnhandled, Target: "plugin:1"}, nil},
		{"target", store.Query{Target: "plugin:3"}, []int{6, 3}},
		{"target and status of one job", store.Query{Target: "plugin:2", Status: store.StatusDead}, nil},
		{"type", store.Query{Types: []string{"call.hangup"}}, []int{4, 3}},
		{"type by pattern", store.Query{Types: []string{"message.*"}}, []int{6, 2, 1, 0}},
		{"several types", store.Query{Types: []string{"fax.received", "call.*"}}, []int{5, 4, 3}},
		{"any type", store.Query{Types: []string{"*"}}, []int{6, 5, 4, 3, 2, 1, 0}},
		{"since", store.Query{Since: t0.Add(5 * time.Second)}, []int{6, 5}},
		{"until", store.Query{Until: t0.Add(2 * time.Second)}, []int{1, 0}},
		{"text", store.Query{Text: `number 3`}, []int{3}},
		{"text is no pattern", store.Query{Text: `50% _`}, []int{6, 5, 4, 3, 2, 1, 0}},
		{"text that is not there", store.Query{Text: `5% _`}, nil},
		{"error", store.Query{Error: "connection refused"}, []int{6, 4, 3, 1}},
		{"error and status", store.Query{Error: "connection refused", Status: store.StatusDead}, []int{6, 3}},
		{"id", store.Query{IDs: []string{id}}, []int{3}},
		{"ids and status", store.Query{IDs: []string{id, newEvent(2).ID}, Status: store.StatusDone}, []int{2}},
		{"unknown id", store.Query{IDs: []string{"nobody"}}, nil},
		{"everything at once", store.Query{IDs: []string{id}, Types: []string{"call.*"}, Target: "plugin:3", Status: store.StatusDead,
			Since: t0, Until: farFuture, Text: "number", Error: "connection refused"}, []int{3}},
	} {
		for _, limit := range []int{1, 100} {
			if got := numbers(t, s, tt.q, limit); !slices.Equal(got, tt.want) {
				t.Errorf("%s, pages of %d: %v, want %v", tt.name, limit, got, tt.want)
			}
		}
	}
}

func queryPages(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	newEvents(t, s, 25, target)
	page, err := s.Events(t.Context(), store.Query{}, 0, 10)
	if err != nil || page.Next == 0 {
		t.Fatalf("first page: next %d, %v", page.Next, err)
	}
	accept(t, s, newEvent(99), target) // comes in front of what was read
	seen := len(page.Deliveries)
	for page.Next != 0 {
		if page, err = s.Events(t.Context(), store.Query{}, page.Next, 10); err != nil {
			t.Fatal(err)
		}
		seen += len(page.Deliveries)
	}
	if seen != 25 {
		t.Errorf("pages have %d events, want 25", seen)
	}
}

func querySummary(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	e := newEvent(1)
	accept(t, s, e, target)
	var last delivery.Attempt
	for range 3 {
		task := claim(t, s, target, farFuture, 1)[0]
		last = attempt(task, delivery.OutcomeRetry)
		finish(t, s, last, delivery.Pending, t0)
	}
	page, err := s.Events(t.Context(), store.Query{}, 0, 1)
	if err != nil || len(page.Deliveries) != 1 {
		t.Fatalf("%+v, %v", page, err)
	}
	d := page.Deliveries[0]
	same(t, "attempts", d.Attempts, []delivery.Attempt{last})
	if d.Event.Body != nil || d.Event.Header != nil || d.Event.Type != e.Type || d.Event.DeliveryID != e.DeliveryID || len(d.Jobs) != 1 {
		t.Errorf("summary %+v of %+v", d.Event, e)
	}
}

func deadGroups(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	ended(t, s, 20, "plugin:9", delivery.OutcomeFailed)
	ended(t, s, 21, "plugin:9", delivery.OutcomeFailed)
	got, err := s.DeadGroups(t.Context(), store.Query{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		got[i].Oldest, got[i].Newest = got[i].Oldest.UTC(), got[i].Newest.UTC()
	}
	group := func(target, kind string, count, oldest, newest int) store.DeadGroup {
		return store.DeadGroup{Target: target, EventType: kind, Error: "connection refused", ErrorCode: 75002, Count: count,
			Oldest: newEvent(oldest).ReceivedAt, Newest: newEvent(newest).ReceivedAt}
	}
	same(t, "groups", got, []store.DeadGroup{
		group("plugin:9", "message.received", 2, 20, 21),
		group("plugin:3", "call.hangup", 1, 3, 3),
		group("plugin:3", "message.received", 1, 6, 6),
	})
	if got, err := s.DeadGroups(t.Context(), store.Query{Types: []string{"call.*"}}); err != nil || len(got) != 1 {
		t.Errorf("groups of calls: %v, %v", got, err)
	}
}

func discard(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	q := store.Query{Types: []string{"call.*", "message.*"}, Status: store.StatusDone} // the status is ignored
	for i, want := range []int{2, 0} {
		if n, err := s.Discard(t.Context(), q); err != nil || n != want {
			t.Errorf("discard number %d moved %d, %v; want %d", i+1, n, err, want)
		}
	}
	if got := numbers(t, s, store.Query{Status: store.StatusDiscarded}, 10); !slices.Equal(got, []int{6, 4, 3}) {
		t.Errorf("discarded are %v", got)
	}
	if got := numbers(t, s, store.Query{Status: store.StatusDone}, 10); !slices.Equal(got, []int{6, 2}) {
		t.Errorf("done are %v", got)
	}
	claim(t, s, "plugin:3", farFuture, 0)
	if r := runReplay(t, s, store.Replay{Query: store.Query{Status: store.StatusDiscarded, Target: "plugin:3"}}); r.Queued != 2 {
		t.Errorf("replay of what was discarded: %+v", r)
	}
}

func preview(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	got, err := s.PreviewReplay(t.Context(), store.Query{Types: []string{"call.*", "fax.received"}})
	if err != nil {
		t.Fatal(err)
	}
	got.Oldest, got.Newest = got.Oldest.UTC(), got.Newest.UTC()
	same(t, "preview", got, store.Preview{Events: 3, Types: map[string]int{"call.hangup": 2, "fax.received": 1},
		Oldest: newEvent(3).ReceivedAt, Newest: newEvent(5).ReceivedAt})
	if got, err := s.PreviewReplay(t.Context(), store.Query{Text: "nothing"}); err != nil || got.Events != 0 || len(got.Types) != 0 {
		t.Errorf("preview of nothing: %+v, %v", got, err)
	}
}

// prune removes all events that r allows and returns their number.
func prune(t *testing.T, s store.Store, r store.Retention) (n int) {
	t.Helper()
	for range 1000 {
		got, err := s.Prune(t.Context(), r, 3)
		if err != nil {
			t.Fatalf("prune: %v", err)
		}
		if got.Events > 3 {
			t.Fatalf("prune removed %d events, want 3 at most", got.Events)
		}
		n += got.Events
		if !got.More {
			return n
		}
	}
	t.Fatal("prune has no end")
	return n
}

func pruneByAge(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	if n := prune(t, s, store.Retention{}); n != 0 {
		t.Errorf("without a limit %d events were removed", n)
	}
	if n := prune(t, s, store.Retention{Before: t0.Add(3 * time.Second)}); n != 1 {
		t.Errorf("%d events were removed, want that which was delivered", n)
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, []int{6, 5, 4, 3, 1, 0}) {
		t.Errorf("left are %v", got)
	}
	if n := prune(t, s, store.Retention{Before: farFuture, DeadBefore: t0.Add(4 * time.Second)}); n != 3 {
		t.Errorf("%d events were removed, want the unhandled, the discarded and an old dead letter", n)
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, []int{6, 1, 0}) {
		t.Errorf("left are %v", got)
	}
	for _, id := range []string{newEvent(2).ID, newEvent(3).ID} {
		_, err := s.Delivery(t.Context(), id)
		wantErr(t, "delivery of a pruned event", err, store.ErrNotFound)
	}
	if _, n, err := s.Deliveries(t.Context(), store.Filter{}); err != nil || n != 1 {
		t.Errorf("%d records are left, %v; want the dead letter's", n, err)
	}
}

// pruneDeadByTheirAge: neither age stands in for the other.
func pruneDeadByTheirAge(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	all := []int{6, 5, 4, 3, 2, 1, 0}
	for _, r := range []store.Retention{
		{DeadBefore: t0.Add(-time.Hour)},                                            // none is that old
		{DeadBefore: t0.Add(3 * time.Second)},                                       // the first dead letter is as old, but not older
		{Before: t0.Add(2 * time.Second), DeadBefore: t0.Add(3 * time.Second)},      // nor is what was delivered
		{Before: t0.Add(-time.Hour), DeadBefore: t0.Add(-time.Hour), MaxBytes: 1e9}, // nor by size
	} {
		if n := prune(t, s, r); n != 0 {
			t.Errorf("%+v removed %d events", r, n)
		}
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, all) {
		t.Fatalf("left are %v", got)
	}
	if n := prune(t, s, store.Retention{DeadBefore: t0.Add(3*time.Second + time.Microsecond)}); n != 1 {
		t.Errorf("%d events were removed, want the older dead letter", n)
	}
	if n := prune(t, s, store.Retention{Before: farFuture}); n != 3 {
		t.Errorf("%d events were removed, want all that are finished and not dead", n)
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, []int{6, 1, 0}) {
		t.Errorf("left are %v, want the other dead letter and what is pending", got)
	}
	if n := prune(t, s, store.Retention{DeadBefore: farFuture}); n != 1 {
		t.Errorf("%d events were removed, want the other dead letter", n)
	}
}

func pruneByWrongClock(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	ahead, young := newEvent(0), newEvent(2)
	ahead.ReceivedAt, young.ReceivedAt = farFuture, time.Now()
	accept(t, s, ahead)
	accept(t, s, newEvent(1))
	accept(t, s, young)
	if n := prune(t, s, store.Retention{Before: t0.Add(time.Hour)}); n != 1 {
		t.Errorf("%d events were removed, want the one that is old beside one that is from the future", n)
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, []int{2, 0}) {
		t.Errorf("left are %v", got)
	}
}

func pruneBySize(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	variety(t, s)
	got, err := s.Prune(t.Context(), store.Retention{}, 1)
	if err != nil || got.Bytes <= 0 {
		t.Fatalf("size %d, %v", got.Bytes, err)
	}
	if n := prune(t, s, store.Retention{MaxBytes: got.Bytes * 10}); n != 0 {
		t.Errorf("%d events were removed from a store that is small enough", n)
	}
	if n := prune(t, s, store.Retention{MaxBytes: 1}); n != 3 {
		t.Errorf("%d events were removed, want the delivered, the discarded and the unhandled", n)
	}
	if got := numbers(t, s, store.Query{}, 10); !slices.Equal(got, []int{6, 3, 1, 0}) {
		t.Errorf("left are %v", got)
	}
	s2 := openStore(t, open)
	for i := range 6 {
		e := newEvent(i)
		e.Body = make([]byte, 200_000)
		accept(t, s2, e)
	}
	first, err := s2.Prune(t.Context(), store.Retention{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	prune(t, s2, store.Retention{MaxBytes: first.Bytes / 2})
	left := numbers(t, s2, store.Query{}, 10)
	if len(left) == 0 || len(left) > 4 || left[0] != 5 || !slices.IsSortedFunc(left, func(a, b int) int { return b - a }) {
		t.Errorf("left are %v, want the newest ones", left)
	}
}

func pruneLimit(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	newEvents(t, s, 5)
	got, err := s.Prune(t.Context(), store.Retention{Before: farFuture}, 2)
	if err != nil || got.Events != 2 || !got.More {
		t.Fatalf("%+v, %v; want two and more", got, err)
	}
	if left := numbers(t, s, store.Query{}, 10); !slices.Equal(left, []int{4, 3, 2}) {
		t.Errorf("left are %v, want the newest", left)
	}
}

func pruneForgets(t *testing.T, open OpenFunc) {
	s := openStore(t, open)
	ended(t, s, 1, target, delivery.OutcomeDone)
	if n := prune(t, s, store.Retention{Before: farFuture}); n != 1 {
		t.Fatalf("%d events were removed", n)
	}
	accept(t, s, newEvent(1), target) // fails the test if it is a duplicate
	claim(t, s, target, farFuture, 1)
}
