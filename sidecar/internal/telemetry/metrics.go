package telemetry

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Results of requests, as [Metrics.Answered] counts them.
const (
	Accepted  = "accepted"  // stored, 200
	Duplicate = "duplicate" // known, 200
	Passed    = "passed"    // answered by the target of a sync route
	Rejected  = "rejected"  // 4xx
	HungUp    = "hung_up"   // gone before the target of a sync route had answered
	Failed    = "error"     // our own failure, 5xx
)

// Metrics holds the counters of one sidecar in a registry of its own, so that
// two can run in one process. Every label has a bounded set of values: names of
// targets, plugins and keys come from the configuration, event types from
// package event. Its methods are safe for concurrent use, and quick: they are
// called in the path of the work.
type Metrics struct {
	registry *prometheus.Registry
	known    map[string]bool // event types

	received   *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	ack        *prometheus.HistogramVec
	skew       prometheus.Histogram
	keyMatches *prometheus.CounterVec
	events     *prometheus.CounterVec
	verdicts   prometheus.Counter

	attempts        *prometheus.CounterVec
	attemptDuration *prometheus.HistogramVec
	latency         *prometheus.HistogramVec
	dead            *prometheus.CounterVec

	commits     prometheus.Histogram
	storeErrors *prometheus.CounterVec

	reloadTime, reloadOK prometheus.Gauge
	certFrom, certUntil  prometheus.Gauge
}

// Buckets in seconds. An acknowledgement has two seconds; an attempt has half a
// minute by default; a delivery may wait for a day.
var (
	ackBuckets     = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5}
	attemptBuckets = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}
	latencyBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400}
	skewBuckets    = []float64{-300, -60, -10, -1, 0, .1, .25, .5, 1, 2, 5, 10, 30, 60, 120, 300}
	commitBuckets  = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// NewMetrics returns Metrics at zero, for a program of this version.
func NewMetrics(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), known: make(map[string]bool)}
	for _, name := range event.Names() {
		m.known[name] = true
	}
	m.receiving()
	m.delivering()

	m.commits = m.histogram("store_fsync_duration_seconds",
		"How long commits of the store took: mostly the sync to disk, or the round trip to the database.", commitBuckets)
	m.storeErrors = m.counters("store_errors_total", "Operations of the store that failed.", "op")
	m.reloadTime = m.gauge("config_last_reload_success_timestamp_seconds", "When a configuration last took effect, including that of the start.")
	m.reloadOK = m.gauge("config_last_reload_successful", "Whether the last attempt to read the configuration succeeded.")
	m.Reloaded(nil)
	m.certFrom = m.gauge("tls_certificate_not_before_timestamp_seconds", "When the certificate of the webhook listener becomes valid; 0 if it has none.")
	m.certUntil = m.gauge("tls_certificate_not_after_timestamp_seconds", "When the certificate of the webhook listener expires; 0 if it has none.")

	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "The program that is running; always 1.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit(), "go_version": runtime.Version()},
	})
	info.Set(1)
	m.registry.MustRegister(info, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// commit returns the revision the program was built from, as the Go command
// records it.
func commit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

func (m *Metrics) receiving() {
	m.received = m.counters("webhooks_received_total", "Requests that look like webhooks, by result.", "result")
	for _, result := range []string{Accepted, Duplicate, Passed, Rejected, HungUp, Failed} {
		m.received.WithLabelValues(result) // so that there is a rate from the first one on
	}
	m.rejected = m.counters("webhooks_rejected_total", "Rejected requests, by reason.", "reason")
	m.ack = m.histograms("ack_duration_seconds", "Time from the header of a request to its answer.", ackBuckets, "result")
	m.skew = m.histogram("timestamp_skew_seconds", "Time of receipt minus the signer's timestamp, of verified events.", skewBuckets)
	m.keyMatches = m.counters("verify_key_matches_total", "Signatures that a key verified, by its label: a key without any can be removed.", "key")
	m.verdicts = m.counters("verify_differences_total", "Signatures about which HOOKSWITCH_VERIFIER=shadow found that the fast verifier and the standard library differ.").WithLabelValues()
	m.events = m.counters("events_total", "Accepted events, by type; other: types that are not modelled.", "event_type")
}

func (m *Metrics) delivering() {
	m.attempts = m.counters("attempts_total", "Attempts at targets by outcome: ok, retry, dead, timeout or panic.", "target", "outcome")
	m.attemptDuration = m.histograms("attempt_duration_seconds", "How long attempts took.", attemptBuckets, "target")
	m.latency = m.histograms("delivery_latency_seconds", "Time from the receipt of an event, or the beginning of its replay, to its delivery to a target.", latencyBuckets, "target")
	m.dead = m.counters("dead_letters_total", "Jobs that became dead letters.", "target")
}

const namespace = "hookswitch"

func (m *Metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) gauge(name, help string) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help})
	m.registry.MustRegister(g)
	return g
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(histogramOpts(name, help, buckets))
	m.registry.MustRegister(h)
	return h
}

func (m *Metrics) histograms(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(histogramOpts(name, help, buckets), labels)
	m.registry.MustRegister(h)
	return h
}

// histogramOpts also asks for native histograms, for servers that can read them.
// Their number of buckets is bounded.
func histogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// Answered counts a request to a webhook path and how long its answer took.
func (m *Metrics) Answered(result string, took time.Duration) {
	m.received.WithLabelValues(result).Inc()
	m.ack.WithLabelValues(result).Observe(took.Seconds())
}

// Rejected counts a rejected request. The reason must be one of a few words.
func (m *Metrics) Rejected(reason string) { m.rejected.WithLabelValues(reason).Inc() }

// VerdictsDiffer counts a signature about which the two verifiers differ.
func (m *Metrics) VerdictsDiffer() { m.verdicts.Inc() }

// Event counts a verified event. A duplicate only counts for the key.
func (m *Metrics) Event(eventType, key string, skew time.Duration, duplicate bool) {
	m.keyMatches.WithLabelValues(key).Inc()
	m.skew.Observe(skew.Seconds())
	if duplicate {
		return
	}
	if !m.known[eventType] {
		eventType = "other" // a stranger with a key could make up any number
	}
	m.events.WithLabelValues(eventType).Inc()
}

// Attempt counts an attempt that left its job in a state.
func (m *Metrics) Attempt(a *delivery.Attempt, state delivery.State) {
	m.attempts.WithLabelValues(a.Target, outcome(a, state)).Inc()
	m.attemptDuration.WithLabelValues(a.Target).Observe(a.FinishedAt.Sub(a.StartedAt).Seconds())
}

// outcomes are the values of the label of attempts_total.
var outcomes = []string{"ok", "retry", "dead", "timeout", "panic"}

// outcome returns what an attempt is counted as: a timeout stays one when it
// was the last, since dead letters are counted by themselves.
func outcome(a *delivery.Attempt, state delivery.State) string {
	switch {
	case a.Outcome == delivery.OutcomeDone:
		return "ok"
	case a.Cause != "":
		return a.Cause // CauseTimeout or CausePanic
	case state == delivery.Dead:
		return "dead"
	}
	return "retry"
}

// Delivered records how long after its receipt, or the beginning of its replay,
// an event was delivered to a target.
func (m *Metrics) Delivered(target string, after time.Duration) {
	m.latency.WithLabelValues(target).Observe(after.Seconds())
}

// Dead counts a dead letter.
func (m *Metrics) Dead(target string) { m.dead.WithLabelValues(target).Inc() }

// Target creates the series of a target, at zero: a rule over a counter that
// appears with its first increment would miss that one.
func (m *Metrics) Target(name string) {
	m.dead.WithLabelValues(name)
	for _, outcome := range outcomes {
		m.attempts.WithLabelValues(name, outcome)
	}
}

// Commit records how long a commit of the store took.
func (m *Metrics) Commit(took time.Duration, err error) {
	m.commits.Observe(took.Seconds())
	if err != nil {
		m.StoreFailed("commit")
	}
}

// StoreFailed counts a failure of the store in one of its operations.
func (m *Metrics) StoreFailed(op string) { m.storeErrors.WithLabelValues(op).Inc() }

// LogLines counts the lost log lines; lost returns the number.
func (m *Metrics) LogLines(lost func() uint64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Namespace: namespace, Name: "log_lines_lost_total",
		Help: "Log lines that were lost because nobody read them.",
	}, func() float64 { return float64(lost()) }))
}

// Listener shows the connections of a listener, and counts those closed to make
// room.
func (m *Metrics) Listener(name string, open func() int, closed func() uint64) {
	labels := prometheus.Labels{"listener": name}
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Name: "connections", Help: "Open connections of a listener.", ConstLabels: labels,
		}, func() float64 { return float64(open()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: namespace, Name: "connections_closed_total", Help: "Connections that were closed to make room for another.", ConstLabels: labels,
		}, func() float64 { return float64(closed()) }))
}

// Certificate records the validity of the certificate in use.
func (m *Metrics) Certificate(from, until time.Time) {
	m.certFrom.Set(float64(from.Unix()))
	m.certUntil.Set(float64(until.Unix()))
}

// Reloaded records whether reloading the configuration worked.
func (m *Metrics) Reloaded(err error) {
	if err != nil {
		m.reloadOK.Set(0)
		return
	}
	m.reloadOK.Set(1)
	m.reloadTime.SetToCurrentTime()
}

// Handler serves the metrics in the formats that Prometheus reads. A gauge that
// cannot be read at the moment is missing, and the log says why.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, // a stuck scraper must not pile up
		EnableOpenMetrics:   true,
	})
}

type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.log.Warn("metrics are incomplete", "code", CodeMetricsIncomplete, "error", fmt.Sprint(v...))
}
