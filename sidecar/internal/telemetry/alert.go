package telemetry

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// The alerts there are.
const (
	AlertDeadLetters = "dead_letters"
	AlertPlugin      = "plugin_crash_loop"
	AlertBacklog     = "backlog_age"
	AlertDisk        = "disk_low"
)

const (
	// alertEvery is how often there is a look at what is not an event, and
	// how soon after a failed look the next is.
	alertEvery = 15 * time.Second

	// alertGroup is how long dead letters of a target are gathered after a
	// post about some: 10,000 of them in a minute are two posts.
	alertGroup = time.Minute

	// alertWait is the wait after the first failure of a post, which has
	// alertTries; each wait after it is four times the one before.
	alertWait  = time.Second
	alertTries = 4

	// alertAgain is how long after a post about something that lasts there is
	// another.
	alertAgain = 4 * time.Hour
)

// AlertConfig is what [Alerts] need. All fields are required but for the
// limits, which switch their alerts off at zero.
type AlertConfig struct {
	URL       string // where alerts are POSTed to; never shown
	Key       ed25519.PrivateKey
	UserAgent string

	// Record returns the delivery record of a dead letter.
	Record func(ctx context.Context, deliveryID string) (json.RawMessage, error)

	Levels     func(context.Context) (Levels, bool)
	BacklogAge time.Duration

	Plugins func() []Plugin

	DiskFree  func() (uint64, error)
	DiskFloor uint64

	Log *slog.Logger

	// Every, Group and Wait shorten the times below, for tests: between two
	// looks, between two posts about a target's dead letters, and before the
	// second try at a post. 0 means those.
	Every, Group, Wait time.Duration
}

// Alerts tell somebody by POST. They never hold up the work and never keep the
// sidecar from starting: what cannot be sent after a few tries is logged. What
// waits is bounded, since it is kept by target and by cause, not by event. A
// nil *Alerts tells nobody. It is safe for concurrent use.
type Alerts struct {
	cfg       AlertConfig
	key       atomic.Pointer[ed25519.PrivateKey]
	transport *http.Transport
	poke      chan struct{} // of capacity 1: there are dead letters

	mu   sync.Mutex
	dead map[string]*deadGroup // guarded by mu: by target

	// Owned by Run.
	lasting map[string]time.Time // by alert and subject: when it was last told
	plugins map[string]crashes
}

// deadGroup is what a post about a target's dead letters will say.
type deadGroup struct {
	count   int
	latest  string // delivery id
	failure string
	nextAt  time.Time // no post before
}

// crashes are the restarts of a plugin since a time.
type crashes struct {
	since time.Time
	base  int
}

// NewAlerts returns Alerts that Run sends.
func NewAlerts(cfg AlertConfig) *Alerts {
	cfg.Every = cmp.Or(cfg.Every, alertEvery)
	cfg.Group = cmp.Or(cfg.Group, alertGroup)
	cfg.Wait = cmp.Or(cfg.Wait, alertWait)
	a := &Alerts{
		cfg: cfg, transport: &http.Transport{MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		poke: make(chan struct{}, 1), dead: make(map[string]*deadGroup),
		lasting: make(map[string]time.Time), plugins: make(map[string]crashes),
	}
	a.SetKey(cfg.Key)
	return a
}

// SetKey changes what signs alerts from now on.
func (a *Alerts) SetKey(key ed25519.PrivateKey) {
	if a != nil {
		a.key.Store(&key)
	}
}

// Dead tells of a dead letter. It does not block.
func (a *Alerts) Dead(target, deliveryID, failure string) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.dead[target]
	if g == nil {
		g = new(deadGroup)
		a.dead[target] = g
	}
	g.count++
	g.latest, g.failure = deliveryID, failure
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// Run sends alerts until ctx ends; then it tries once, for a moment, to tell of
// the dead letters that are left, and returns nil.
func (a *Alerts) Run(ctx context.Context) error {
	defer a.transport.CloseIdleConnections()
	look := time.Now()
	for {
		if now := time.Now(); !now.Before(look) {
			a.look(ctx)
			look = now.Add(a.cfg.Every)
		}
		next := a.sendDead(ctx, false)
		if next.IsZero() || look.Before(next) {
			next = look
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-ctx.Done():
			t.Stop()
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.sendDead(last, true)
			return nil
		case <-a.poke:
			t.Stop()
		case <-t.C:
		}
	}
}

// sendDead sends what there is to say about dead letters and may be said now,
// and returns when it may say the rest: the zero time if there is none.
func (a *Alerts) sendDead(ctx context.Context, all bool) (next time.Time) {
	a.mu.Lock()
	targets := slices.Sorted(maps.Keys(a.dead))
	a.mu.Unlock()
	for _, target := range targets {
		a.mu.Lock()
		g := a.dead[target]
		due := g.count > 0 && (all || !time.Now().Before(g.nextAt))
		if g.count > 0 && !due && (next.IsZero() || g.nextAt.Before(next)) {
			next = g.nextAt
		}
		said := *g
		if due {
			g.count, g.nextAt = 0, time.Now().Add(a.cfg.Group)
		}
		a.mu.Unlock()
		if !due {
			continue
		}
		record, err := a.cfg.Record(ctx, said.latest)
		if err != nil {
			record = nil // the rest is worth telling all the same
		}
		a.send(ctx, alert{
			Alert: AlertDeadLetters, State: "firing", Target: target, Count: said.count, Delivery: record,
			Summary: fmt.Sprintf("%d dead letters at %s; the latest: %s", said.count, target, said.failure),
		})
	}
	return next
}

// look compares what is with what should be.
func (a *Alerts) look(ctx context.Context) {
	if a.cfg.BacklogAge > 0 {
		if levels, ok := a.cfg.Levels(ctx); ok {
			a.lookBacklog(ctx, levels)
		}
	}
	gone := make(map[string]bool) // plugins that an alert is about
	for key := range a.lasting {
		if target, ok := cutSubject(key, AlertPlugin); ok {
			gone[target] = true
		}
	}
	for _, p := range a.cfg.Plugins() {
		target := delivery.Plugin.Target(p.Name)
		delete(gone, target)
		summary := ""
		if n := a.crashed(p); p.State == "failed" || n >= crashLoop {
			summary = fmt.Sprintf("plugin %s is %s after %d restarts within %v; its events wait", p.Name, p.State, n, crashWindow)
		}
		a.lasts(ctx, alert{Alert: AlertPlugin, Target: target, Summary: summary})
	}
	for target := range gone {
		name, _ := delivery.Plugin.Cut(target)
		delete(a.plugins, name)
		a.lasts(ctx, alert{Alert: AlertPlugin, Target: target})
	}
	if a.cfg.DiskFloor > 0 {
		if free, err := a.cfg.DiskFree(); err == nil {
			summary := ""
			if free < a.cfg.DiskFloor {
				summary = fmt.Sprintf("%d MiB are left on the disk of the data directory, less than %d", free>>20, a.cfg.DiskFloor>>20)
			}
			a.lasts(ctx, alert{Alert: AlertDisk, Summary: summary})
		}
	}
}

func (a *Alerts) lookBacklog(ctx context.Context, levels Levels) {
	oldest := make(map[string]Backlog)
	for _, b := range levels.Backlog {
		if o, ok := oldest[b.Target]; !ok || b.Oldest.Before(o.Oldest) {
			b.Events += o.Events
			oldest[b.Target] = b
		} else {
			o.Events += b.Events
			oldest[b.Target] = o
		}
	}
	for key := range a.lasting { // a target without any backlog is well again
		if target, ok := cutSubject(key, AlertBacklog); ok && oldest[target].Events == 0 {
			oldest[target] = Backlog{Target: target}
		}
	}
	for _, b := range oldest {
		summary := ""
		if age := time.Since(b.Oldest); b.Events > 0 && age > a.cfg.BacklogAge {
			summary = fmt.Sprintf("%d events wait for %s, the oldest for %v", b.Events, b.Target, age.Round(time.Second))
		}
		a.lasts(ctx, alert{Alert: AlertBacklog, Target: b.Target, Summary: summary})
	}
}

const (
	// A plugin loops if it was restarted crashLoop times within crashWindow.
	crashLoop   = 3
	crashWindow = 5 * time.Minute
)

// crashed returns how often a plugin was restarted of late.
func (a *Alerts) crashed(p Plugin) int {
	c, known := a.plugins[p.Name]
	if !known || time.Since(c.since) > crashWindow {
		before := c
		c = crashes{since: time.Now(), base: p.Restarts}
		a.plugins[p.Name] = c
		if known {
			return p.Restarts - before.base
		}
	}
	return p.Restarts - c.base
}

// lasts tells of something that lasts, once, and again after alertAgain; and,
// when its summary is empty, that it is over.
func (a *Alerts) lasts(ctx context.Context, what alert) {
	key := what.Alert + " " + what.Target
	told, was := a.lasting[key]
	switch {
	case what.Summary == "" && was:
		delete(a.lasting, key)
		what.State, what.Summary = "resolved", what.Alert+" is over"
	case what.Summary != "" && (!was || time.Since(told) >= alertAgain):
		a.lasting[key] = time.Now()
		what.State = "firing"
	default:
		return
	}
	a.send(ctx, what)
}
