package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/repeat"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

func claim(t *testing.T, d webhook.Dedupe, key string) webhook.Claim {
	t.Helper()
	c, err := d.Claim(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMemoryDedupe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &webhook.MemoryDedupe{TTL: time.Hour}
		if got := claim(t, d, "a"); got != webhook.Claimed {
			t.Fatalf("first claim: %v", got)
		}
		if got := claim(t, d, "a"); got != webhook.InFlight {
			t.Errorf("claim while in flight: %v", got)
		}
		_ = d.Release(t.Context(), "a")
		if got := claim(t, d, "a"); got != webhook.Claimed {
			t.Errorf("claim after a release: %v", got)
		}
		_ = d.Done(t.Context(), "a")
		_ = d.Release(t.Context(), "a") // too late, and must not forget
		_ = d.Done(t.Context(), "never claimed")
		if got := claim(t, d, "never claimed"); got != webhook.Claimed {
			t.Errorf("Done without a claim marked it: %v", got)
		}
		<-time.After(time.Hour)
		if got := claim(t, d, "a"); got != webhook.Seen {
			t.Errorf("claim at the end of the TTL: %v", got)
		}
		<-time.After(3 * time.Second)
		if got := claim(t, d, "a"); got != webhook.Claimed {
			t.Errorf("claim after the TTL: %v", got)
		}
	})
}

func TestMemoryDedupeIsBoundedAndForgetsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 1 << 16
		d := &webhook.MemoryDedupe{Max: most}
		_ = claim(t, d, "held") // in flight all the time: never forgotten
		for i := range 4 * most {
			if i%10_000 == 0 {
				<-time.After(time.Second)
			}
			key := fmt.Sprint(i)
			if got := claim(t, d, key); got != webhook.Claimed {
				t.Fatalf("claim %d: %v", i, got)
			}
			_ = d.Done(t.Context(), key)
		}
		if got := claim(t, d, "held"); got != webhook.InFlight {
			t.Errorf("an event in flight was forgotten: %v", got)
		}
		for i := 4*most - most/2; i < 4*most; i++ {
			if got := claim(t, d, fmt.Sprint(i)); got != webhook.Seen {
				t.Fatalf("%d, among the most recent half, was forgotten", i)
			}
		}
		forgotten := 0
		for i := range most {
			if claim(t, d, fmt.Sprint(i)) == webhook.Claimed {
				forgotten++
			}
		}
		if forgotten < most*9/10 {
			t.Errorf("only %d of the %d oldest were forgotten: the memory is not bounded", forgotten, most)
		}
	})
}

// TestMemoryDedupeAgainstAModel: random steps, compared with a map.
func TestMemoryDedupeAgainstAModel(t *testing.T) {
	d := new(webhook.MemoryDedupe)
	model := map[string]webhook.Claim{}
	rnd := uint32(1)
	for range repeat.Times(200_000) {
		rnd = rnd*1664525 + 1013904223
		key := fmt.Sprint(rnd >> 16 & 0xfff)
		switch rnd >> 8 & 3 {
		case 0:
			if model[key] == webhook.InFlight {
				_ = d.Done(t.Context(), key)
				model[key] = webhook.Seen
			}
		case 1:
			if model[key] == webhook.InFlight {
				_ = d.Release(t.Context(), key)
				delete(model, key)
			}
		default:
			if got := claim(t, d, key); got != model[key] {
				t.Fatalf("claim of %s: %v, the model says %v", key, got, model[key])
			}
			if model[key] == webhook.Claimed {
				model[key] = webhook.InFlight
			}
		}
	}
}

// TestOfManyCopiesExactlyOneRuns is the promise of Mux.Dedupe.
func TestOfManyCopiesExactlyOneRuns(t *testing.T) {
	var runs, done, retry atomic.Int32
	release := make(chan struct{})
	mux := webhook.Mux{Dedupe: new(webhook.MemoryDedupe)}
	mux.Handle("*", func(context.Context, *webhook.Event) error {
		runs.Add(1)
		<-release
		return nil
	})
	body := webhooktest.Sample("message.received")
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			switch outcome, _ := webhook.OutcomeOf(mux.HandleEvent(t.Context(), webhook.Decode("application/json", body))); outcome {
			case webhook.Done:
				done.Add(1)
			case webhook.Retry:
				if retry.Add(1) == 99 { // all the others have asked while the first runs
					close(release)
				}
			}
		})
	}
	wg.Wait()
	if runs.Load() != 1 || done.Load() != 1 || retry.Load() != 99 {
		t.Errorf("%d runs, %d done, %d told to retry; want 1, 1 and 99", runs.Load(), done.Load(), retry.Load())
	}
	if err := mux.HandleEvent(t.Context(), webhook.Decode("application/json", body)); err != nil || runs.Load() != 1 {
		t.Errorf("a later copy: %v, %d runs; want done without running", err, runs.Load())
	}
}

func TestFailedTryMayBeRepeated(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("no") },
		"panic": func() error { panic("no") },
	} {
		t.Run(name, func(t *testing.T) {
			runs := 0
			mux := webhook.Mux{Dedupe: new(webhook.MemoryDedupe)}
			mux.Handle("*", func(context.Context, *webhook.Event) error {
				if runs++; runs == 1 {
					return fail()
				}
				return webhook.Permanent(errors.New("never"))
			})
			e := webhook.Decode("", []byte(`{"a":1}`))
			for i, want := range []webhook.Outcome{webhook.Retry, webhook.Dead, webhook.Done} {
				if got, _ := webhook.OutcomeOf(mux.HandleEvent(t.Context(), e)); got != want {
					t.Errorf("try %d: %v, want %v", i+1, got, want)
				}
			}
			if runs != 2 {
				t.Errorf("%d runs, want 2: a retry runs again, a permanent failure does not", runs)
			}
		})
	}
}

// brokenDedupe cannot remember anything.
type brokenDedupe struct{ webhook.Dedupe }

func (brokenDedupe) Claim(context.Context, string) (webhook.Claim, error) {
	return 0, errors.New("memory lost")
}

func TestBrokenMemoryLosesNoEvent(t *testing.T) {
	runs := 0
	mux := webhook.Mux{Dedupe: brokenDedupe{}}
	mux.Handle("*", func(context.Context, *webhook.Event) error { runs++; return nil })
	if err := mux.HandleEvent(t.Context(), webhook.Decode("", nil)); err != nil || runs != 1 {
		t.Errorf("%v, %d runs; want the event handled", err, runs)
	}
}

func TestOrderGuard(t *testing.T) {
	message := func(id, at string) *webhook.Event {
		return webhook.Decode("application/json", fmt.Appendf(nil,
			`{"data":{"event_type":"message.sent","id":"x","occurred_at":%q,"payload":{"record_type":"message","id":%q}}}`, at, id))
	}
	call := webhook.Decode("application/json", webhooktest.Sample("call.hangup"))
	if got := call.Entity(); got != "call:1b7c2a90-17c6-11f1-8d1e-02420a0b0c0d" {
		t.Errorf("entity of a call: %q", got)
	}
	var g webhook.OrderGuard
	for _, step := range []struct {
		id, at string
		want   bool
	}{
		{"a", "2026-01-01T00:00:05Z", true},
		{"a", "2026-01-01T00:00:04Z", false},
		{"a", "2026-01-01T00:00:05Z", true}, // a retry
		{"b", "2026-01-01T00:00:01Z", true}, // another message
		{"a", "2026-01-01T00:00:05.001Z", true},
		{"a", "2026-01-01T00:00:05Z", false},
		{"a", "date-time", true}, // no time to go by
	} {
		if got := g.InOrder(message(step.id, step.at)); got != step.want {
			t.Errorf("message %s at %s: in order %v, want %v", step.id, step.at, got, step.want)
		}
	}
	if !g.InOrder(webhook.Decode("", []byte("x"))) || !g.InOrder(webhook.Decode("application/json", []byte(`{"a":1}`))) {
		t.Error("an event about nothing known is out of order")
	}

	small := webhook.OrderGuard{Max: 10}
	small.InOrder(message("kept", "2026-01-01T00:00:05Z"))
	for i := range 1000 {
		small.InOrder(message(fmt.Sprint(i), "2026-01-01T00:00:00Z"))
		if i%3 == 0 && small.InOrder(message("kept", "2026-01-01T00:00:04Z")) {
			t.Fatalf("forgot what was asked about %d steps before", 3)
		}
	}
	if !small.InOrder(message("0", "2025-01-01T00:00:00Z")) {
		t.Error("remembers a thousand messages with a Max of 10")
	}
}

func BenchmarkMemoryDedupe(b *testing.B) {
	const ids = 1_000_000
	keys := make([]string, ids)
	for i := range keys {
		keys[i] = fmt.Sprintf("id:%08x-0fe3-4adc-9d1f-46e66e6e9323", i)
	}
	ctx := context.Background()
	b.Run("claim and done, new", func(b *testing.B) {
		d := new(webhook.MemoryDedupe)
		for i := range b.N {
			if i%ids == 0 {
				d = new(webhook.MemoryDedupe)
			}
			_, _ = d.Claim(ctx, keys[i%ids])
			_ = d.Done(ctx, keys[i%ids])
		}
	})
	b.Run("duplicate among a million", func(b *testing.B) {
		d := new(webhook.MemoryDedupe)
		for _, k := range keys {
			_, _ = d.Claim(ctx, k)
			_ = d.Done(ctx, k)
		}
		b.ResetTimer()
		for i := range b.N {
			if c, _ := d.Claim(ctx, keys[i%ids]); c != webhook.Seen {
				b.Fatalf("missed %s", keys[i%ids])
			}
		}
	})
}
