package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// The limits of braked codes: so many lines at once, and then one a second. The
// others are summed up after brakeSum at the latest.
const (
	brakeBurst = 20
	brakeEvery = time.Second
	brakeSum   = 10 * time.Second
	brakeKinds = 64
)

// brakedCodes are the codes of lines that a request can cause: a sender of many
// must not fill the log. While the store fails, every group of them is also a
// failed commit.
var brakedCodes = []Code{CodeRequestRejected, CodeRequestShed, CodeEventNotStored, CodeConnectionsFull, CodeFilesExhausted, CodeCommitFailed, CodeVerdictsDiffer}

// braked passes records on, but only some of those with one of brakedCodes, and
// a sum of the others.
type braked struct {
	slog.Handler
	brake *brake
}

// brake counts by code and, where there is one, by reason.
type brake struct {
	mu    sync.Mutex
	kinds map[kind]*left // guarded by mu
}

type kind struct {
	code   Code
	reason string
}

// left counts the omitted records of one kind.
type left struct {
	free    time.Time // when all of the burst is available again
	count   int
	message string
	level   slog.Level
	timer   *time.Timer // sums up; nil if nothing was omitted
}

func (b braked) Handle(ctx context.Context, r slog.Record) error {
	k, ok := kindOf(r)
	if !ok {
		return b.Handler.Handle(ctx, r)
	}
	allowed, sum := b.allow(k, r)
	if sum != nil {
		_ = b.Handler.Handle(ctx, *sum)
	}
	if !allowed {
		return nil
	}
	return b.Handler.Handle(ctx, r)
}

func (b braked) WithAttrs(attrs []slog.Attr) slog.Handler {
	return braked{b.Handler.WithAttrs(attrs), b.brake}
}

func (b braked) WithGroup(name string) slog.Handler {
	return braked{b.Handler.WithGroup(name), b.brake}
}

// kindOf returns the kind of a record, and false if it is not braked.
func kindOf(r slog.Record) (k kind, ok bool) {
	if r.Level < slog.LevelWarn {
		return k, false
	}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "code":
			k.code, _ = a.Value.Any().(Code)
		case "reason":
			k.reason = a.Value.String()
		}
		return k.code == "" || k.reason == ""
	})
	return k, slices.Contains(brakedCodes, k.code)
}

// allow reports whether a record may pass, and returns the sum of the earlier
// ones that did not.
func (b braked) allow(k kind, r slog.Record) (allowed bool, sum *slog.Record) {
	b.brake.mu.Lock()
	defer b.brake.mu.Unlock()
	l := b.brake.kinds[k]
	if l == nil {
		if len(b.brake.kinds) >= brakeKinds {
			k.reason = "" // there are few reasons; should there be many, they share a place
		}
		if l = b.brake.kinds[k]; l == nil {
			l = new(left)
			b.brake.kinds[k] = l
		}
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	if next := l.free.Add(brakeEvery); next.Sub(now) <= brakeBurst*brakeEvery {
		l.free = next
		return true, l.sum(k)
	}
	l.count++
	l.message, l.level = r.Message, r.Level
	if l.timer == nil {
		l.timer = time.AfterFunc(brakeSum, func() { b.sumUp(k) })
	}
	return false, nil
}

// sum returns a record about the omitted ones, or nil. The caller holds mu.
func (l *left) sum(k kind) *slog.Record {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if l.count == 0 {
		return nil
	}
	r := slog.NewRecord(time.Now(), l.level, l.message+": more of these were not logged one by one", 0)
	r.AddAttrs(slog.Any("code", k.code))
	if k.reason != "" {
		r.AddAttrs(slog.String("reason", k.reason))
	}
	r.AddAttrs(slog.Int("left_out", l.count))
	l.count = 0
	return &r
}

// sumUp logs the sum of one kind.
func (b braked) sumUp(k kind) {
	b.brake.mu.Lock()
	sum := b.brake.kinds[k].sum(k)
	b.brake.mu.Unlock()
	if sum != nil {
		_ = b.Handler.Handle(context.Background(), *sum)
	}
}

// SumUp makes a logger of [NewLogger] log now how many lines it has left out; it
// would do so later anyway.
func SumUp(log *slog.Logger) {
	b, ok := log.Handler().(braked)
	if !ok {
		return
	}
	b.brake.mu.Lock()
	kinds := make([]kind, 0, len(b.brake.kinds))
	for k := range b.brake.kinds {
		kinds = append(kinds, k)
	}
	b.brake.mu.Unlock()
	for _, k := range kinds {
		b.sumUp(k)
	}
}
