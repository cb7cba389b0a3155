// Package retention removes what the store need not keep any longer. Start with
// [New] and [Keeper.Run].
package retention

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// stepEvents is how many events go in one commit, and rest how long the
	// store is left to others after it.
	stepEvents = 200
	rest       = 50 * time.Millisecond

	// DefaultEvery is how often the Keeper looks whether there is work.
	DefaultEvery = time.Minute
)

// Config is what a Keeper needs. Store is required.
type Config struct {
	Store  store.Operator
	Limits               // see Keeper.Set
	Every  time.Duration // 0 means DefaultEvery
	Log    *slog.Logger  // nil discards
}

// Limits say what is kept.
type Limits struct {
	// Keep is how long events are kept that were delivered, discarded or
	// unhandled, and KeepDead those with a dead letter, from when they were
	// received. 0 keeps them for ever.
	Keep, KeepDead time.Duration

	// MaxBytes is how large the store may become; see store.Retention. 0
	// means no limit.
	MaxBytes int64
}

func (l Limits) none() bool { return l.Keep <= 0 && l.KeepDead <= 0 && l.MaxBytes <= 0 }

// Keeper removes old events.
type Keeper struct {
	cfg    Config
	limits atomic.Pointer[Limits]
}

// New returns a Keeper that [Keeper.Run] starts.
func New(cfg Config) *Keeper {
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg}
	k.Set(cfg.Limits)
	return k
}

// Set changes what is kept. It may be called while the Keeper runs.
func (k *Keeper) Set(l Limits) { k.limits.Store(&l) }

// Run works until ctx ends, and returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	for sleep(ctx, k.cfg.Every) {
		if !k.limits.Load().none() {
			k.round(ctx)
		}
	}
	return nil
}

// round removes all that may go, in small pieces with pauses between, so that
// webhooks do not wait for it.
func (k *Keeper) round(ctx context.Context) {
	began, removed := time.Now(), 0
	for {
		limits := *k.limits.Load()
		r := store.Retention{MaxBytes: limits.MaxBytes}
		if limits.Keep > 0 {
			r.Before = time.Now().Add(-limits.Keep)
		}
		if limits.KeepDead > 0 {
			r.DeadBefore = time.Now().Add(-limits.KeepDead)
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
			k.report(removed, got.Bytes, limits.MaxBytes, time.Since(began))
			return
		}
		if !sleep(ctx, rest) {
			return
		}
	}
}

func (k *Keeper) report(removed int, size, most int64, took time.Duration) {
	if removed > 0 {
		k.cfg.Log.Info("old events removed", "events", removed, "store_bytes", size, "took", took.Round(time.Millisecond))
	}
	if most > 0 && size > most {
		k.cfg.Log.Warn("the store is larger than it should be, with events that are pending or dead: deliver, requeue or discard them, or raise HOOKSWITCH_MAX_DISK", "code", telemetry.CodeStoreTooLarge,
			"store_bytes", size, "max_bytes", most)
	}
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
