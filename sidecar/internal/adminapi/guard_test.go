package adminapi

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestGuardedHosts(t *testing.T) {
	for _, tt := range []struct {
		name   string
		access Access
		host   string
		want   int
	}{
		{"a name of this machine", Access{}, "localhost:9080", 200},
		{"without a port", Access{}, "localhost", 200},
		{"IPv4", Access{}, "127.0.0.1:9080", 200},
		{"IPv6", Access{}, "[::1]:9080", 200},
		{"IPv6 without a port", Access{}, "[::1]", 200},
		{"a page that was rebound", Access{}, "evil.example.com:9080", 403},
		{"a name that only begins well", Access{}, "localhost.evil.com", 403},
		{"another address", Access{}, "10.0.0.1:9080", 403},
		{"none", Access{}, "", 403},
		{"half of one", Access{}, "[", 403},
		{"the host that is listened on", Access{Listen: "LocalHost.localdomain:9080"}, "localhost.localdomain:9080", 200},
		{"a wildcard is no host", Access{Listen: ":9080"}, "", 403},
		{"a name that was given", Access{Hosts: []string{"Ops.test"}}, "ops.test:9080", 200},
		{"with a dot at the end", Access{Hosts: []string{"ops.test"}}, "OPS.test.:9080", 200},
		{"another than was given", Access{Hosts: []string{"ops.test"}}, "dev.ops.test", 403},
		{"any with a token", Access{Token: true}, "records.test", 200},
		{"another than was given, with a token", Access{Token: true, Hosts: []string{"ops.test"}}, "records.test", 403},
		{"this machine is always known", Access{Token: true, Hosts: []string{"ops.test"}}, "localhost", 200},
	} {
		h := NewGuard(tt.access).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest("GET", "/v2/webhook_deliveries", nil)
		r.Host = tt.host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != tt.want {
			t.Errorf("%s: host %q is answered %d, want %d", tt.name, tt.host, rec.Code, tt.want)
		}
		r.URL.Path = "/readyz"
		rec = httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != 200 {
			t.Errorf("%s: a probe is answered %d", tt.name, rec.Code)
		}
	}
}

func TestGuardedMethods(t *testing.T) {
	for _, tt := range []struct {
		name, method, path, origin string
		want                       int
	}{
		{"a change", "POST", "/api/v1/reload", "", 200},
		{"a change by a page of another origin", "POST", "/api/v1/reload", "https://evil.test", 403},
		{"a change by a page of another origin, below /v2", "POST", "/v2/x", "https://evil.test", 403},
		{"a change by a page of our own", "POST", "/api/v1/reload", "http://localhost:9080", 200},
	} {
		h := NewGuard(Access{}).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequest(tt.method, "http://localhost:9080"+tt.path, nil)
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, rec.Code, tt.want)
		}
		if ct := rec.Header().Get("Content-Type"); tt.want == 403 && ct != "application/problem+json" {
			t.Errorf("%s: refused as %s", tt.name, ct)
		}
	}
}
