package telemetry

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TraceConfig configures where spans go. Its fields are OpenTelemetry's standard
// variables. The SDK itself reads those about how it works (OTEL_BSP_*,
// OTEL_SPAN_*, certificates and compression of the exporter).
type TraceConfig struct {
	URL        string // of the traces, /v1/traces included
	Headers    map[string]string
	Service    string // name; "hookswitch" if empty
	Version    string
	Attributes map[string]string
	Sampler    string // OTEL_TRACES_SAMPLER; parentbased_always_on if empty
	Ratio      float64
	Log        *slog.Logger
}

// flushTimeout bounds how long a stop waits for spans to be sent.
const flushTimeout = 3 * time.Second

// NewTracer returns a Tracer that sends spans by OTLP over HTTP. It does not
// connect: a missing collector is no reason not to start.
func NewTracer(cfg TraceConfig) (*Tracer, error) {
	base, err := sampler(cfg.Sampler, cfg.Ratio)
	if err != nil {
		return nil, err
	}
	headers, err := withPassword(cfg.URL, cfg.Headers)
	if err != nil {
		return nil, err
	}
	options := []otlptracehttp.Option{otlptracehttp.WithEndpointURL(cfg.URL)}
	if len(headers) > 0 { // otherwise those that the SDK finds for traces alone
		options = append(options, otlptracehttp.WithHeaders(headers))
	}
	out, err := otlptracehttp.New(context.Background(), options...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	attrs := []attribute.KeyValue{attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version)}
	if cfg.Service == "" {
		attrs[0] = attribute.String("service.name", namespace)
	}
	for k, v := range cfg.Attributes {
		if k != "service.name" || cfg.Service == "" {
			attrs = append(attrs, attribute.String(k, v)) // the last one counts
		}
	}
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(&exporter{SpanExporter: out, log: cfg.Log}), // drops what it cannot hold: it never blocks
		sdk.WithResource(resource.NewSchemaless(attrs...)),
		sdk.WithSampler(linked{base}))
	return &Tracer{provider: provider, tracer: provider.Tracer("github.com/hookswitch/hookswitch"), log: cfg.Log}, nil
}

// withPassword adds the user and the password of a URL, which the exporter
// would leave out, to the headers.
func withPassword(text string, headers map[string]string) (map[string]string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("telemetry: traces: the collector's URL cannot be parsed") // it may hold a password
	}
	if u.User == nil {
		return headers, nil
	}
	password, _ := u.User.Password()
	if headers = maps.Clone(headers); headers == nil {
		headers = make(map[string]string)
	}
	headers["Authorization"] = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	return headers, nil
}

// Close sends the remaining spans, for a few seconds at most.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.log.Warn("the last spans could not be sent and are lost", "code", CodeTracesLost, "error", err)
	}
}

// exporter now and then logs that spans cannot be sent. Otherwise the SDK would
// print that to standard error, in its own form.
type exporter struct {
	sdk.SpanExporter
	log *slog.Logger

	mu    sync.Mutex
	lost  int       // guarded by mu: spans since the last line
	quiet time.Time // guarded by mu: no line before
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += len(spans)
	if now := time.Now(); now.After(e.quiet) {
		e.log.Warn("spans could not be sent and are lost", "code", CodeTracesLost, "spans", e.lost, "error", err)
		e.lost, e.quiet = 0, now.Add(time.Minute)
	}
	return nil
}

// linked samples the spans that refer to a sampled span of ours, so that no
// story breaks off. Our own links are to remote spans in a client span; links
// made up by a sender are in a server span.
type linked struct{ sdk.Sampler }

func (l linked) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.Kind == trace.SpanKindClient && len(p.Links) == 1 && p.Links[0].SpanContext.IsSampled() {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return l.Sampler.ShouldSample(p)
}

// Samplers are the values of OTEL_TRACES_SAMPLER that are understood.
var Samplers = []string{"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"}

func sampler(name string, ratio float64) (sdk.Sampler, error) {
	var root sdk.Sampler
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		root = sdk.AlwaysSample()
	case "always_off":
		root = sdk.NeverSample()
	case "traceidratio":
		root = sdk.TraceIDRatioBased(ratio)
	default:
		return nil, fmt.Errorf("telemetry: sampler %q: use one of %s", name, strings.Join(Samplers, ", "))
	}
	return sdk.ParentBased(root), nil
}
