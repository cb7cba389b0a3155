// Package retention removes what the store need not keep any longer. Start with
// [New] and [Keeper.Run].
package retention

import (
	"context"
	"log/slog"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	// stepEvents is how many events go in one commit, and rest how long the
	// store is left to others after it.
	stepEvents = 200
	rest       = 50 * time.Millisecond

	// DefaultEvery is how often the Keeper looks whether there is work.
	DefaultEvery = time.Minute
)

// Config says what is kept. Store is required.
type Config struct {
	Store store.Operator

	// Keep is how long events are kept that were delivered, discarded or
	// unhandled, and KeepDead those with a dead letter, from when they were
	// received. 0 keeps them for ever.
	Keep, KeepDead time.Duration

	// MaxBytes is how large the store may become; see store.Retention. 0
	// means no limit.
	MaxBytes int64

	Every time.Duration // 0 means DefaultEvery
	Log   *slog.Logger  // nil discards
}

// Keeper removes old events.
type Keeper struct{ cfg Config }

// New returns a Keeper that [Keeper.Run] starts.
func New(cfg Config) *Keeper {
	if cfg.Every <= 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{cfg}
}

// Run works until ctx ends, and returns nil.
func (k *Keeper) Run(ctx context.Context) error {
	if k.cfg.Keep <= 0 && k.cfg.KeepDead <= 0 && k.cfg.MaxBytes <= 0 {
		<-ctx.Done()
		return nil
	}
	for sleep(ctx, k.cfg.Every) {
		k.round(ctx)
	}
	return nil
}

// round removes all that may go, in small pieces with pauses between, so that
// webhooks do not wait for it.
func (k *Keeper) round(ctx context.Context) {
	began, removed := time.Now(), 0
	for {
		r := store.Retention{MaxBytes: k.cfg.MaxBytes}
		if k.cfg.Keep > 0 {
			r.Before = time.Now().Add(-k.cfg.Keep)
		}
		if k.cfg.KeepDead > 0 {
			r.DeadBefore = time.Now().Add(-k.cfg.KeepDead)
		}
		got, err := k.cfg.Store.Prune(ctx, r, stepEvents)
		removed += got.Events
		if err != nil {
			if ctx.Err() == nil {
				k.cfg.Log.Error("old events could not be removed", "removed", removed, "retry_in", k.cfg.Every, "error", err)
			}
			return
		}
		if !got.More {
			k.report(removed, got.Bytes, time.Since(began))
			return
		}
		if !sleep(ctx, rest) {
			return
		}
	}
}

func (k *Keeper) report(removed int, size int64, took time.Duration) {
	if removed > 0 {
		k.cfg.Log.Info("old events removed", "events", removed, "store_bytes", size, "took", took.Round(time.Millisecond))
	}
	if k.cfg.MaxBytes > 0 && size > k.cfg.MaxBytes {
		k.cfg.Log.Warn("the store is larger than it should be, with events that are pending or dead: deliver, requeue or discard them, or raise HOOKSWITCH_MAX_DISK",
			"store_bytes", size, "max_bytes", k.cfg.MaxBytes)
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
