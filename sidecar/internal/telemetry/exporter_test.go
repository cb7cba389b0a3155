package telemetry_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// TestTracerHeaders: a collector gets the password of its URL, or else the
// headers that a variable has for traces alone.
func TestTracerHeaders(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "api-key=traces")
	for _, c := range []struct {
		name, user, key, auth string
		headers               map[string]string
	}{
		{name: "nothing", key: "traces"},
		{name: "a user", user: "u:p@", auth: "Basic dTpw"},
		{name: "a user and headers", user: "u:p@", headers: map[string]string{"api-key": "all"}, key: "all", auth: "Basic dTpw"},
		{name: "headers", headers: map[string]string{"api-key": "all"}, key: "all"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan http.Header, 10)
			to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
			defer to.Close()
			tracer, err := telemetry.NewTracer(telemetry.TraceConfig{
				URL:     strings.Replace(to.URL, "//", "//"+c.user, 1) + "/v1/traces",
				Headers: c.headers, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			_, span := tracer.Receive(httptest.NewRequest("POST", "/", nil))
			span.End(nil)
			tracer.Close() // which sends it
			h := <-got
			if h.Get("Api-Key") != c.key || h.Get("Authorization") != c.auth {
				t.Errorf("got %v", h)
			}
		})
	}
}
