// Package replay carries out replays: orders, kept in the store, to deliver
// events again. Start with [New] and [Runner.Run].
//
// A replay continues where it stopped, even after a restart: each step makes some
// events due and moves the replay on in one commit.
package replay

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// stepEvents is the most events of a step: few enough that webhooks which
	// arrive meanwhile do not wait long for the store.
	stepEvents = 100

	// stepEvery is how often a replay with a rate takes a step.
	stepEvery = 250 * time.Millisecond

	// lookEvery is how often the store is asked for replays that others have
	// created, or have left.
	lookEvery = 5 * time.Second

	firstBackoff, maxBackoff = time.Second, time.Minute
)

// Store is the part of a [store.Store] that carries out replays.
type Store interface {
	Replay(ctx context.Context, id string) (store.Replay, error)
	Replays(ctx context.Context, running bool) ([]store.Replay, error)
	StepReplay(ctx context.Context, id string, limit int) (store.Replay, []string, error)
}

// Config configures a [Runner].
type Config struct {
	Store Store
	Wake  func(targets []string) // called when jobs have become due
	Log   *slog.Logger           // nil discards
}

// Runner carries out all replays of a store. Its methods are safe for
// concurrent use.
type Runner struct {
	cfg  Config
	poke chan struct{}
}

// New returns a Runner that [Runner.Run] starts.
func New(cfg Config) *Runner {
	cfg.Log = cmp.Or(cfg.Log, slog.New(slog.DiscardHandler))
	return &Runner{cfg: cfg, poke: make(chan struct{}, 1)}
}

// Poke makes the Runner look for new replays now.
func (r *Runner) Poke() {
	select {
	case r.poke <- struct{}{}:
	default: // it will look anyway
	}
}

// Run works until ctx ends, and returns nil. The next Run continues unfinished
// replays.
func (r *Runner) Run(ctx context.Context) error {
	due := make(map[string]time.Time) // running replays, and when each takes its next step
	look, backoff := time.Time{}, firstBackoff
	for ctx.Err() == nil {
		if now := time.Now(); !now.Before(look) {
			err := r.look(ctx, due)
			if err != nil && ctx.Err() == nil {
				r.cfg.Log.Error("cannot look for replays", "code", telemetry.CodeReplayFailed, "retry_in", backoff, "error", err)
				look, backoff = now.Add(backoff), min(2*backoff, maxBackoff)
			} else {
				look, backoff = now.Add(lookEvery), firstBackoff
			}
		}
		wake := look
		for id, at := range due {
			if !time.Now().Before(at) {
				if at = r.step(ctx, id); at.IsZero() {
					delete(due, id)
					continue
				}
				due[id] = at
			}
			if at.Before(wake) {
				wake = at
			}
		}
		if r.sleep(ctx, time.Until(wake)) {
			look = time.Time{}
		}
	}
	return nil
}

// sleep reports whether it was ended by Poke.
func (r *Runner) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	case <-r.poke:
		return true
	}
	return false
}

// look adds the running replays to due.
func (r *Runner) look(ctx context.Context, due map[string]time.Time) error {
	list, err := r.cfg.Store.Replays(ctx, true)
	for _, replay := range list {
		if _, known := due[replay.ID]; !known {
			r.cfg.Log.Info("replay begins", "replay", replay.ID, "events", replay.Total, "seen", replay.Seen, "rate", replay.Rate)
			due[replay.ID] = time.Now()
		}
	}
	return err
}

// step takes one step of a replay and returns when the next is due: never, the
// zero time, if it has ended or is not ours.
func (r *Runner) step(ctx context.Context, id string) time.Time {
	began := time.Now()
	before, err := r.cfg.Store.Replay(ctx, id)
	var after store.Replay
	var targets []string
	if err == nil {
		after, targets, err = r.cfg.Store.StepReplay(ctx, id, size(before.Rate))
	}
	switch {
	case errors.Is(err, store.ErrElsewhere), errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrClosed):
		return time.Time{}
	case err != nil:
		if ctx.Err() == nil {
			r.cfg.Log.Error("a step of a replay failed", "code", telemetry.CodeReplayFailed, "replay", id, "retry_in", firstBackoff, "error", err)
		}
		return began.Add(firstBackoff)
	}
	if len(targets) > 0 {
		r.cfg.Wake(targets)
	}
	if after.State != store.ReplayRunning {
		r.cfg.Log.Info("replay ended", "replay", id, "state", after.State, "events", after.Seen, "queued", after.Queued, "skipped", after.Skipped)
		return time.Time{}
	}
	return began.Add(pause(after.Rate, after.Seen-before.Seen))
}

// size returns how many events a step takes.
func size(rate float64) int {
	if rate <= 0 {
		return stepEvents
	}
	return min(max(int(rate*stepEvery.Seconds()), 1), stepEvents)
}

// pause returns how long the replay rests from the beginning of a step that
// took n events.
func pause(rate float64, n int) time.Duration {
	if rate <= 0 || n == 0 {
		return 0
	}
	return time.Duration(float64(n) / rate * float64(time.Second))
}
