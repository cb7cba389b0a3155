package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

func TestHealth(t *testing.T) {
	var broken error
	h := telemetry.NewHealth(func(context.Context) error { return broken })
	mux := http.NewServeMux()
	h.Register(mux)
	status := func(method, path string) int {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
		return rec.Code
	}
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("before SetReady: %d, want 503", got)
	}
	h.SetReady(true)
	if got := status("GET", "/readyz"); got != 200 {
		t.Errorf("ready: %d, want 200", got)
	}
	broken = errors.New("disk full")
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("store broken: %d, want 503", got)
	}
	if got := status("GET", "/livez"); got != 200 {
		t.Errorf("livez: %d, want 200 whatever the store does", got)
	}
	broken = nil
	h.SetReady(false)
	if got := status("GET", "/readyz"); got != 503 {
		t.Errorf("stopping: %d, want 503", got)
	}
	if got := status("POST", "/livez"); got != 405 {
		t.Errorf("POST: %d, want 405", got)
	}
}
