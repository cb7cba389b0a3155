// Package retention removes events that the store no longer needs to keep. Start
// with [New] and [Keeper.Run].
package retention

import (
	"cmp"
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// stepEvents is how many events go in one commit, and rest how long the
	// store is left to others after it.
	stepEvents = 200
	rest       = 50 * time.Millisecond

	// hurry is the rest after a commit while the store is too large. Under
	// load a store grows by 20 MB a second, so its size is checked more often,
	// unless that takes long: at most a fiftieth of the time.
	hurry     = 2 * time.Millisecond
	sizeEvery = 200 * time.Millisecond
	sizeShare = 50

	// While a store is too large and nothing can be removed, the next round
	// is after hopeEvery, in case something has been delivered meanwhile, and
	// later if a round takes long: at most a twentieth of the time. It never
	// waits longer than Every.
	hopeEvery = 5 * time.Second
	hopeShare = 20

	// sayAgain is when the warning of a store that stays too large is
	// repeated.
	sayAgain = time.Hour

	// DefaultEvery is how often the Keeper looks whether there is work.
	DefaultEvery = time.Minute
)

// Store is the part of a [store.Store] that removes events.
type Store interface {
	Events(ctx context.Context, q store.Query, before int64, limit int) (store.Page, error)
	Prune(ctx context.Context, r store.Retention, limit int) (store.Pruned, error)
	Excess(ctx context.Context, r store.Retention) (int64, error)
}

// Config configures a Keeper. Store is required.
type Config struct {
	Store  Store
	Limits               // see Keeper.Set
	Every  time.Duration // 0 means DefaultEvery
	Clock  *clock.Clock  // for the Keeper alone; nil is the system's
	Log    *slog.Logger  // nil discards

	// Mark is a file in which the Keeper remembers where the clock was, to
	// see after a restart whether it has jumped. Empty: it does not.
	Mark string
}

// Limits bounds what is kept.
type Limits struct {
	// Keep is how long delivered, discarded and unhandled events are kept,
	// KeepDead those with a dead letter, from when they were received. 0
	// keeps them for ever.
	Keep, KeepDead time.Duration

	// MaxBytes is how large the store may become; see store.Retention. 0
	// means no limit.
	MaxBytes int64
}

func (l Limits) none() bool { return l.Keep <= 0 && l.KeepDead <= 0 && l.MaxBytes <= 0 }

// at returns the limits at a time, for the store.
func (l Limits) at(now time.Time) store.Retention {
	r := store.Retention{MaxBytes: l.MaxBytes}
	if l.Keep > 0 {
		r.Before = now.Add(-l.Keep)
	}
	if l.KeepDead > 0 {
		r.DeadBefore = now.Add(-l.KeepDead)
	}
	return r
}

// Keeper removes old events.
type Keeper struct {
	cfg    Config
	limits atomic.Pointer[Limits]

	tooLarge time.Time // when that was logged; zero if the store is not. Owned by Run.

	doubt  doubt // this and the next are only used by Run
	looked bool  // at the clock, in this run
	marked time.Time
}

// New returns a Keeper that [Keeper.Run] starts.
func New(cfg Config) *Keeper {
	cfg.Every = cmp.Or(cfg.Every, DefaultEvery)
	cfg.Clock = cmp.Or(cfg.Clock, clock.New(nil))
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	k := &Keeper{cfg: cfg}
	k.Set(cfg.Limits)
	return k
}

// Set changes what is kept. It may be called while the Keeper runs.
func (k *Keeper) Set(l Limits) { k.limits.Store(&l) }

// Run works until ctx ends, and returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	k.doubt = k.readDoubt(ctx)
	k.trusts(*k.limits.Load())
	next := time.Now().Add(k.cfg.Every) // the next round, whatever the size is
	hope := time.Time{}                 // the next one that the size may ask for
	for took := time.Duration(0); sleep(ctx, k.wait(took)); {
		limits := *k.limits.Load()
		if limits.none() {
			k.trusts(limits)
			continue
		}
		var excess int64
		excess, took = k.excess(ctx, limits)
		if !time.Now().Before(next) || excess > 0 && !time.Now().Before(hope) {
			began := time.Now()
			k.round(ctx)
			next, hope = time.Now().Add(k.cfg.Every), time.Time{}
			if !k.tooLarge.IsZero() {
				hope = time.Now().Add(max(hopeEvery, hopeShare*time.Since(began)))
			}
		}
	}
	return nil
}

// wait is how long until the next look, if one at the size takes so long.
func (k *Keeper) wait(took time.Duration) time.Duration {
	if k.limits.Load().MaxBytes <= 0 {
		return k.cfg.Every
	}
	return min(k.cfg.Every, max(sizeEvery, sizeShare*took))
}

// excess returns by how much the store is too large, and how long that took. An
// error is reported by the round that comes anyway.
func (k *Keeper) excess(ctx context.Context, limits Limits) (int64, time.Duration) {
	if limits.MaxBytes <= 0 {
		return 0, 0
	}
	began := time.Now()
	excess, err := k.cfg.Store.Excess(ctx, store.Retention{MaxBytes: limits.MaxBytes})
	if err != nil {
		excess = 0
	}
	return excess, time.Since(began)
}

// round removes all it may, in small pieces with pauses between, so that webhooks
// do not wait for it.
func (k *Keeper) round(ctx context.Context) {
	began, removed := time.Now(), 0
	for {
		limits := *k.limits.Load()
		r := store.Retention{MaxBytes: limits.MaxBytes}
		if now, trusts := k.trusts(limits); trusts {
			r = limits.at(now)
		}
		got, err := k.cfg.Store.Prune(ctx, r, stepEvents)
		removed += got.Events
		if err != nil {
			if ctx.Err() == nil {
				k.cfg.Log.Error("old events could not be removed", "code", telemetry.CodeRetentionFailed, "removed", removed, "retry_in", k.cfg.Every, "error", err)
			}
			return
		}
		if !got.More {
			k.report(removed, got, limits.MaxBytes, time.Since(began))
			return
		}
		pause := rest
		if got.Excess > 0 {
			pause = hurry
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// report logs the result of a round. A store that is too large at the end is only
// worth a warning if there was nothing to remove: under load it may have grown
// meanwhile, and the next round is near.
func (k *Keeper) report(removed int, got store.Pruned, most int64, took time.Duration) {
	if removed > 0 {
		k.cfg.Log.Info("old events removed", "events", removed, "store_bytes", got.Bytes, "took", took.Round(time.Millisecond))
	}
	if removed > 0 || got.Excess == 0 {
		k.tooLarge = time.Time{}
		return
	}
	if !k.tooLarge.IsZero() && time.Since(k.tooLarge) < sayAgain {
		return
	}
	k.tooLarge = time.Now()
	k.cfg.Log.Warn("the store is larger than it should be, and everything in it is pending or dead: deliver, requeue or discard it, or raise HOOKSWITCH_MAX_DISK or the room on its disk", "code", telemetry.CodeStoreTooLarge,
		"store_bytes", got.Bytes, "max_bytes", most, "too_many", got.Excess)
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
