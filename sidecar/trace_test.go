package sidecar_test

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// receiver takes spans as a collector does: OTLP over HTTP, in protobuf.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	last     *http.Request      // guarded by mu
	spans    []*otlp.Span       // guarded by mu
	resource []*common.KeyValue // guarded by mu
}

func newReceiver(t *testing.T) *receiver {
	c := &receiver{t: t}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &req)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("X-Tenant") != "a b" {
		c.t.Errorf("%s %s with %v: %v", r.Method, r.URL, r.Header, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = r
	for _, rs := range req.ResourceSpans {
		c.resource = rs.Resource.Attributes
		for _, ss := range rs.ScopeSpans {
			c.spans = append(c.spans, ss.Spans...)
		}
	}
	answer, _ := proto.Marshal(new(collector.ExportTraceServiceResponse))
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(answer)
}

// named returns the spans of a name that have an attribute, in the order in
// which they came.
func (c *receiver) named(name, key, value string) (found []*otlp.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name && (key == "" || attributes(s.Attributes)[key] == value) {
			found = append(found, s)
		}
	}
	return found
}

func attributes(list []*common.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range list {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.Key] = fmt.Sprint(v.IntValue)
		}
	}
	return m
}

func traceparent(s *otlp.Span) string {
	return "00-" + hex.EncodeToString(s.TraceId) + "-" + hex.EncodeToString(s.SpanId) + "-01"
}

// TestTrace follows one event through the receiver of a collector: received,
// stored, and attempted at the app and at a plugin, which see the traces that
// they are in.
func TestTrace(t *testing.T) {
	to := newReceiver(t)
	r := start(t, func(c *config.Config) {
		c.OTelEndpoint, c.OTelHeaders = strings.Replace(to.URL, "://", "://ann:s3cret@", 1), "X-Tenant=a%20b"
		c.OTelService, c.OTelResource = "phones", "deployment.environment.name=test,service.name=other"
	})
	const stranger = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	id := r.send("call.hangup", func(req *http.Request) {
		req.Header.Set("Traceparent", stranger)
		req.Header.Set("Tracestate", "vendor=1")
	})
	r.post([]byte("forged"), func(req *http.Request) { req.Header.Set("Telnyx-Timestamp", "1700000000") })
	r.eventually("delivery", func() bool {
		return len(r.got()) == 1 && len(r.log.with("plugin sees traceparent=")) == 1
	})
	r.stop() // which sends what is left

	requests := to.named("POST /webhooks", "hookswitch.event.id", id)
	if len(requests) != 1 {
		t.Fatalf("%d spans of the request; all: %v", len(requests), to.spans)
	}
	request := requests[0]
	if request.Kind != otlp.Span_SPAN_KIND_SERVER || len(request.ParentSpanId) > 0 || len(request.Links) != 1 ||
		hex.EncodeToString(request.Links[0].TraceId) != stranger[3:35] || hex.EncodeToString(request.TraceId) == stranger[3:35] {
		t.Errorf("the request is no root that is linked to the sender's span: %v", request)
	}
	if got := attributes(request.Attributes); got["hookswitch.event.type"] != "call.hangup" || got["hookswitch.result"] != "accepted" || got["http.response.status_code"] != "200" || got["hookswitch.delivery_id"] == "" {
		t.Errorf("attributes of the request: %v", got)
	}
	stored := to.named("hookswitch.store", "", "")
	if len(stored) != 1 || string(stored[0].ParentSpanId) != string(request.SpanId) || string(stored[0].TraceId) != string(request.TraceId) {
		t.Errorf("store: %v, which is not within %v", stored, request)
	}
	for _, target := range []string{"forward:default", "plugin:echo"} {
		attempts := to.named("hookswitch.attempt "+target, "hookswitch.event.id", id)
		if len(attempts) != 1 {
			t.Fatalf("%d attempts at %s", len(attempts), target)
		}
		a := attempts[0]
		if len(a.Links) != 1 || string(a.Links[0].TraceId) != string(request.TraceId) || string(a.Links[0].SpanId) != string(request.SpanId) || len(a.ParentSpanId) > 0 {
			t.Errorf("the attempt at %s is not linked to the request: %v", target, a)
		}
		if got := attributes(a.Attributes); got["hookswitch.target"] != target || got["hookswitch.attempt"] != "1" || got["hookswitch.outcome"] != "done" {
			t.Errorf("attributes of the attempt at %s: %v", target, got)
		}
		if target == "plugin:echo" {
			if len(r.log.with("plugin sees traceparent="+traceparent(a))) != 1 {
				t.Errorf("the plugin sees %q, not %s", r.log.with("plugin sees"), traceparent(a))
			}
		} else if h := r.got()[0].Header; h.Get("Traceparent") != traceparent(a) || h.Get("Tracestate") != "" {
			t.Errorf("the app sees %s %q, not %s", h.Get("Traceparent"), h.Get("Tracestate"), traceparent(a))
		}
	}
	if got := to.named("POST /webhooks", "hookswitch.result", "rejected"); len(got) != 1 {
		t.Errorf("%d spans of rejected requests", len(got))
	}
	if got := attributes(to.resource); got["service.name"] != "phones" || got["service.version"] != "test" || got["deployment.environment.name"] != "test" {
		t.Errorf("resource %v", got)
	}
	if user, password, _ := to.last.BasicAuth(); user != "ann" || password != "s3cret" {
		t.Errorf("the collector is told %q %q", user, password)
	}
	line := strings.Join(r.log.with(`"event accepted"`), "")
	if !strings.Contains(line, `"trace_id":"`+hex.EncodeToString(request.TraceId)) || !strings.Contains(line, `"span_id":"`+hex.EncodeToString(request.SpanId)) {
		t.Errorf("the log does not name the trace: %s", line)
	}
}

// TestTraceSampling: what is not sampled when it is received is not sampled
// later, and the target is told so.
func TestTraceSampling(t *testing.T) {
	to := newReceiver(t)
	r := start(t, func(c *config.Config) {
		c.OTelEndpoint, c.OTelHeaders, c.OTelSampler = to.URL, "X-Tenant=a%20b", "always_off"
		c.PluginDir = ""
	})
	r.send("call.hangup", nil)
	r.eventually("delivery", func() bool { return len(r.got()) == 1 })
	r.stop()
	if len(to.spans) != 0 {
		t.Errorf("spans %v", to.spans)
	}
	if parent := r.got()[0].Header.Get("Traceparent"); !strings.HasSuffix(parent, "-00") {
		t.Errorf("the app sees %q", parent)
	}
}

// TestTraceCollectorGone: a collector that does not answer harms nothing, and
// does not hold up the end.
func TestTraceCollectorGone(t *testing.T) {
	hung := make(chan struct{})
	gone := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer gone.Close()
	defer close(hung)
	r := start(t, func(c *config.Config) { c.OTelTracesEndpoint = gone.URL; c.PluginDir = "" })
	r.send("call.hangup", nil)
	r.eventually("delivery", func() bool { return len(r.got()) == 1 })
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
	if len(r.log.with("traces-lost")) != 1 {
		t.Error("nobody is told that spans are lost")
	}
}
