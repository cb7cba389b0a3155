package retention

import (
	"context"
	"encoding/json"
	"os"
	"time"

	"github.com/hookswitch/hookswitch/internal/durable"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

const (
	// A clock that was set forward by more than maxStep while the Keeper ran,
	// or is more than maxGap ahead of where the last run left it, is doubted:
	// events may look older than they are, and a removal cannot be undone.
	maxStep = 10 * time.Minute
	maxGap  = 24 * time.Hour

	// maxPause is how long it is doubted, unless events are kept for less.
	maxPause = 24 * time.Hour

	// markEvery is how often the file is written if nothing else happens.
	markEvery = 30 * time.Second
)

// doubt records whether the clock may be far ahead. It is kept in a file, so
// that it survives a restart and shows how long the sidecar did not run. Losing
// the file costs the memory of one run.
type doubt struct {
	Trusted time.Time     `json:"trusted"`        // the last time that was not doubted
	Until   time.Time     `json:"until,omitzero"` // when a doubted clock is trusted again; zero: it is not doubted
	Ahead   time.Duration `json:"ahead,omitzero"` // how far ahead of the right time it may be
}

// readDoubt returns the doubt of the last run. Without one, the newest event
// shows where the clock was.
func (k *Keeper) readDoubt(ctx context.Context) (d doubt) {
	if k.cfg.Mark == "" {
		return doubt{}
	}
	text, err := os.ReadFile(k.cfg.Mark)
	if err == nil && json.Unmarshal(text, &d) == nil {
		return d
	}
	page, err := k.cfg.Store.Events(ctx, store.Query{}, 0, 1)
	if err != nil || len(page.Deliveries) == 0 {
		return doubt{}
	}
	newest := page.Deliveries[0]
	d = doubt{Trusted: newest.Event.ReceivedAt}
	for _, a := range newest.Attempts {
		if a.FinishedAt.After(d.Trusted) {
			d.Trusted = a.FinishedAt
		}
	}
	return d
}

// writeDoubt replaces the whole file. It does not report a failure: a data
// directory that cannot be written is reported elsewhere.
func (k *Keeper) writeDoubt() {
	if k.cfg.Mark == "" {
		return
	}
	if text, err := json.Marshal(k.doubt); err == nil {
		_ = durable.WriteFile(k.cfg.Mark, text)
	}
}

// trusts checks the clock, and reports whether events may be removed by their
// age at now: not at a later reading, when the clock may have been set.
func (k *Keeper) trusts(limits Limits) (now time.Time, trusts bool) {
	now, step := k.cfg.Clock.Step()
	d, pause := &k.doubt, limits.pause()
	first := !k.looked
	k.looked = true
	doubted := !d.Until.IsZero()
	back := doubted && d.Until.Sub(now) > pause // while the sidecar did not run
	switch {
	case step > maxStep:
		k.pause(now, d.Ahead+step, pause)
	case first && !d.Trusted.IsZero() && (!doubted || back) && now.Sub(d.Trusted) > maxGap:
		k.pause(now, now.Sub(d.Trusted), pause)
	case doubted && first && !back && now.Before(d.Until):
		k.sayPaused()
	case doubted && !first && !k.over(now, step, pause):
	case doubted:
		k.cfg.Log.Info("old events are removed by their age again", "paused_at", d.Trusted)
		d.Until, d.Ahead = time.Time{}, 0
	}
	trusts = d.Until.IsZero()
	if trusts {
		d.Trusted = now
	}
	if first || doubted == trusts || step != 0 || now.Sub(k.marked) >= markEvery {
		k.writeDoubt()
		k.marked = now
	}
	return now, trusts
}

// over reports whether a pause is over: it has been long enough, or the clock is
// back where it was.
func (k *Keeper) over(now time.Time, step, pause time.Duration) bool {
	d := &k.doubt
	d.Ahead, d.Until = d.Ahead+step, d.Until.Add(step)
	if latest := now.Add(pause); d.Until.After(latest) {
		d.Until = latest // events are kept for less since it began
	}
	return !now.Before(d.Until) || d.Ahead <= maxStep || step < 0 && now.Sub(d.Trusted) <= maxGap
}

func (k *Keeper) pause(now time.Time, ahead, pause time.Duration) {
	k.doubt.Until, k.doubt.Ahead = now.Add(pause), ahead
	k.sayPaused()
}

func (k *Keeper) sayPaused() {
	k.cfg.Log.Warn("the clock is far ahead of where it was: if it is wrong, set it; old events are not removed by their age meanwhile",
		"code", telemetry.CodeRetentionPaused, "ahead", k.doubt.Ahead.Round(time.Second), "until", k.doubt.Until.UTC().Truncate(time.Second))
}

// pause returns how long a clock is doubted: no longer than events are kept, so
// that none is kept more than twice as long as configured.
func (l Limits) pause() time.Duration {
	pause := maxPause
	for _, keep := range []time.Duration{l.Keep, l.KeepDead} {
		if keep > 0 {
			pause = min(pause, keep)
		}
	}
	return pause
}
