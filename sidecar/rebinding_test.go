package sidecar

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestLoopbackOnly(t *testing.T) {
	h := loopbackOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"localhost:9080":        200,
		"localhost":             200,
		"127.0.0.1:9080":        200,
		"[::1]:9080":            200,
		"[::1]":                 200,
		"evil.example.com:9080": 403,
		"localhost.evil.com":    403,
		"10.0.0.1:9080":         403,
		"":                      403,
		"[":                     403,
	} {
		r := httptest.NewRequest("GET", "/v2/webhook_deliveries", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != want {
			t.Errorf("host %q: %d, want %d", host, rec.Code, want)
		}
	}
}
