package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Levels has the values of the gauges at one moment.
type Levels struct {
	Backlog    []Backlog
	Dead       map[string]int // dead letters by target
	StoreBytes int64
}

// Backlog is work waiting for a target.
type Backlog struct {
	Target string
	State  string // pending, or retrying
	Events int
	Oldest time.Time // when the oldest arrived, or its replay began
}

// Plugin is the state of a plugin, for its gauges.
type Plugin struct {
	Name            string
	Version, SHA256 string // as far as known
	State           string
	Up              bool
	Restarts        int
	InFlight        int
}

// PluginStates are all values of Plugin.State.
var PluginStates = []string{"verifying", "starting", "ready", "backoff", "failed", "disabled", "draining", "stopped"}

// Sources supplies the gauges when they are read.
type Sources struct {
	// Levels counts. It may take long on a large backlog, so it is rarely
	// called: see [Gauges].
	Levels func(context.Context) (Levels, error)

	Plugins  func() []Plugin
	Targets  func() []string // whose gauges are shown also at zero
	DiskFree func() (uint64, error)

	Log *slog.Logger
}

const (
	// levelsAge is how old levels may be.
	levelsAge = 2 * time.Second

	// levelsShare bounds the cost of counting: after one that took a second
	// there is none for fifty.
	levelsShare = 50

	levelsTimeout = 5 * time.Second

	// A failing store is neither pressed nor left alone for minutes.
	levelsRetry      = 10 * time.Second
	levelsRetryShare = 10
)

// Gauges reads levels on demand, and keeps them for a while: however many
// scrape, and however large the backlog is, counting takes at most 2 % of one
// core. It is safe for concurrent use.
type Gauges struct {
	src Sources

	mu     sync.Mutex // held while counting: callers meanwhile get the same result
	last   Levels     // guarded by mu
	ok     bool       // guarded by mu: last is usable
	nextAt time.Time  // guarded by mu
}

// NewGauges returns Gauges and adds them to m.
func NewGauges(m *Metrics, src Sources) *Gauges {
	g := &Gauges{src: src}
	m.registry.MustRegister(g)
	return g
}

// Levels returns the levels of now or a moment ago, and false if they are not
// known.
func (g *Gauges) Levels(ctx context.Context) (Levels, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	began := time.Now()
	if began.Before(g.nextAt) {
		return g.last, g.ok
	}
	ctx, cancel := context.WithTimeout(ctx, levelsTimeout)
	defer cancel()
	levels, err := g.src.Levels(ctx)
	took := time.Since(began)
	g.nextAt = time.Now().Add(max(levelsAge, levelsShare*took))
	if err != nil {
		g.nextAt = time.Now().Add(max(levelsRetry, levelsRetryShare*took))
		g.src.Log.Warn("the backlog cannot be counted: its metrics are missing", "code", CodeBacklogUncounted, "error", err)
	}
	g.last, g.ok = levels, err == nil
	return g.last, g.ok
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

var (
	backlogDesc  = describe("backlog_events", "Events waiting for a target, by whether an attempt has failed.", "target", "state")
	oldestDesc   = describe("backlog_oldest_age_seconds", "Age of the oldest event waiting for a target.", "target", "state")
	deadDesc     = describe("dead_letters", "Dead letters that have been neither replayed nor discarded.", "target")
	bytesDesc    = describe("store_bytes", "Bytes used by the store.")
	diskDesc     = describe("disk_free_bytes", "Free bytes on the disk of the data directory.")
	upDesc       = describe("plugin_up", "Whether a plugin takes events.", "plugin")
	stateDesc    = describe("plugin_state", "The state of a plugin: 1 for its current one.", "plugin", "state")
	restartsDesc = describe("plugin_restarts_total", "How often a plugin's process was restarted.", "plugin")
	inFlightDesc = describe("plugin_in_flight_events", "Events that a plugin has at the moment.", "plugin")
	infoDesc     = describe("plugin_info", "The program of a plugin; always 1.", "plugin", "version", "sha256")
)

// Describe implements [prometheus.Collector].
func (g *Gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{backlogDesc, oldestDesc, deadDesc, bytesDesc, diskDesc, upDesc, stateDesc, restartsDesc, inFlightDesc, infoDesc} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (g *Gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if levels, ok := g.Levels(context.Background()); ok {
		g.collectLevels(levels, gauge)
	}
	if free, err := g.src.DiskFree(); err == nil {
		gauge(diskDesc, float64(free))
	}
	for _, p := range g.src.Plugins() {
		gauge(upDesc, flag(p.Up), p.Name)
		for _, s := range PluginStates {
			gauge(stateDesc, flag(p.State == s), p.Name, s)
		}
		gauge(inFlightDesc, float64(p.InFlight), p.Name)
		gauge(infoDesc, 1, p.Name, label(p.Version), p.SHA256)
		ch <- prometheus.MustNewConstMetric(restartsDesc, prometheus.CounterValue, float64(p.Restarts), p.Name)
	}
}

func (g *Gauges) collectLevels(levels Levels, gauge func(*prometheus.Desc, float64, ...string)) {
	type series struct{ target, state string }
	backlog := make(map[series]Backlog)
	dead := make(map[string]int)
	for _, target := range g.src.Targets() {
		dead[target] = 0
		for _, state := range []string{"pending", "retrying"} {
			backlog[series{target, state}] = Backlog{}
		}
	}
	for _, b := range levels.Backlog {
		backlog[series{b.Target, b.State}] = b
	}
	for target, n := range levels.Dead {
		dead[target] = n
	}
	now := time.Now()
	for s, b := range backlog {
		age := 0.0
		if b.Events > 0 && !b.Oldest.IsZero() {
			age = max(0, now.Sub(b.Oldest).Seconds())
		}
		gauge(backlogDesc, float64(b.Events), s.target, s.state)
		gauge(oldestDesc, age, s.target, s.state)
	}
	for target, n := range dead {
		gauge(deadDesc, float64(n), target)
	}
	gauge(bytesDesc, float64(levels.StoreBytes))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// maxLabel bounds a label whose value comes from a plugin.
const maxLabel = 64

// label makes a label of a stranger's text.
func label(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxLabel)], "")
}
