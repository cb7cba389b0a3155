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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// The alerts.
const (
	AlertDeadLetters = "dead_letters"
	AlertPlugin      = "plugin_crash_loop"
	AlertBacklog     = "backlog_age"
	AlertDisk        = "disk_low"
	AlertTest        = "test" // sent on request
)

const (
	// alertEvery is how often conditions other than events are checked, and
	// how soon a failed check is repeated.
	alertEvery = 15 * time.Second

	// alertGroup is how long a target's dead letters are gathered after a
	// post about some: 10,000 of them in a minute are two posts.
	alertGroup = time.Minute

	// alertWait is the wait after a post's first failure; each further wait
	// is four times as long, up to alertTries tries.
	alertWait  = time.Second
	alertTries = 4

	// alertAgain is when a post about a lasting problem is repeated.
	alertAgain = 4 * time.Hour
)

// AlertConfig configures [Alerts]. All fields are required except the limits,
// which turn their alerts off at zero.
type AlertConfig struct {
	URL       string // that alerts are POSTed to; never shown
	Key       ed25519.PrivateKey
	UserAgent string

	// Form is one of AlertForms, or "" for json, and Template that of
	// AlertTemplate, which CheckAlertTemplate has found nothing wrong with.
	Form, Template string

	// Answers says that the text of an app's answer may be in a summary.
	Answers bool

	// Record returns the delivery record of a dead letter.
	Record func(ctx context.Context, deliveryID string) (json.RawMessage, error)

	// Link returns the URL of the record of a delivery; nil: there is none.
	Link func(deliveryID string) string

	Levels     func(context.Context) (Levels, bool)
	BacklogAge time.Duration

	Plugins func() []Plugin

	DiskFree  func() (uint64, error)
	DiskFloor uint64

	Log *slog.Logger

	// Every, Group and Wait shorten the times above for tests: between two
	// checks, between two posts about a target's dead letters, and before the
	// second try at a post. 0 means those.
	Every, Group, Wait time.Duration
}

// Alerts sends alerts by POST. It never holds up the work or the start of the
// sidecar: an alert that cannot be sent after a few tries is logged. Waiting
// alerts are bounded, since they are kept by target and cause, not by event. A
// nil *Alerts sends nothing. It is safe for concurrent use.
type Alerts struct {
	cfg       AlertConfig
	key       atomic.Pointer[ed25519.PrivateKey]
	transport *http.Transport
	poke      chan struct{} // of capacity 1: there are dead letters

	mu   sync.Mutex
	dead map[string]*deadGroup // guarded by mu: by target

	// Owned by Run.
	lasting map[string]time.Time // by alert and subject: when it was last sent
	plugins map[string]crashes
}

// deadGroup is the content of a post about a target's dead letters.
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

// SetKey changes the key that signs alerts from now on.
func (a *Alerts) SetKey(key ed25519.PrivateKey) {
	if a != nil {
		a.key.Store(&key)
	}
}

// Dead reports a dead letter. It does not block.
func (a *Alerts) Dead(target, deliveryID, failure string) {
	if a == nil {
		return
	}
	if !a.cfg.Answers {
		failure, _, _ = strings.Cut(failure, ": “")
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

// Run sends alerts until ctx ends; then it tries once, briefly, to report the
// dead letters that are left, and returns nil.
func (a *Alerts) Run(ctx context.Context) error {
	if a == nil {
		return nil
	}
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
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			a.sendDead(last, true)
			return nil
		case <-a.poke:
		case <-time.After(time.Until(next)):
		}
	}
}

// sendDead sends the alerts about dead letters that are due, and returns when
// the rest are: the zero time if there is no rest.
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
			record = nil // the rest is worth sending anyway
		}
		what := alert{
			Alert: AlertDeadLetters, State: "firing", Target: target, Count: said.count, Delivery: record,
			Summary: fmt.Sprintf("%s at %s; the latest: %s", deadLetters(said.count), target, said.failure),
			Reason:  said.failure, DeliveryID: said.latest,
		}
		what.identify()
		if a.cfg.Link != nil {
			what.URL = a.cfg.Link(said.latest)
		}
		a.send(ctx, what)
	}
	return next
}

func deadLetters(n int) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

// identify adds what the record says of the event.
func (a *alert) identify() {
	var record struct {
		Webhook struct {
			ID        string `json:"id"`
			EventType string `json:"event_type"`
		} `json:"webhook"`
	}
	if json.Unmarshal(a.Delivery, &record) == nil {
		a.EventID, a.EventType = record.Webhook.ID, record.Webhook.EventType
	}
}

// look checks for lasting problems.
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
	for key := range a.lasting { // a target without a backlog is fine again
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

// crashed returns how often a plugin was restarted recently.
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

// lasts reports a lasting problem once, and again after alertAgain; and, when
// its summary is empty, that it is over.
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
