package sidecar

import (
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// guard says who may ask anything of the admin listener at all. The token is
// asked for behind it.
type guard struct {
	hosts    []string // besides this machine's names; lower case
	anyHost  bool
	readOnly bool
}

// newGuard returns what the configuration makes of it.
//
// Without a token, listening on loopback is all that protects the records. A
// web page whose name was made to resolve to 127.0.0.1 (DNS rebinding) runs on
// this machine too, but cannot hide its name: so only known names are answered.
// With a token such a page gets nowhere, and a sidecar is reached by whatever
// name its network has for it; then names are checked only if some are given.
func newGuard(c *Config) *guard {
	g := &guard{anyHost: c.AdminToken != "" && len(c.AdminHosts) == 0, readOnly: c.AdminReadOnly}
	for _, h := range c.AdminHosts {
		g.hosts = append(g.hosts, strings.ToLower(h))
	}
	if host, _, err := net.SplitHostPort(c.AdminListen); err == nil && host != "" {
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	return g
}

// knows reports whether the Host header of a request is one to answer to.
func (g *guard) knows(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]") // no port
	}
	return g.anyHost || listen.IsLoopback(host) || slices.Contains(g.hosts, strings.TrimSuffix(strings.ToLower(host), "."))
}

// guarded protects everything on the admin listener: it is answered for known
// hosts only, not for pages of another origin, and without changing anything if
// the configuration says so.
func (s *Sidecar) guarded(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(adminapi.NewProblem(http.StatusForbidden, "cross-origin", "the request comes from a page of another origin"))
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch g := s.guard.Load(); {
		case r.URL.Path == "/livez" || r.URL.Path == "/readyz":
			// Probes ask by address, and learn nothing that matters.
			next.ServeHTTP(w, r)
		case !g.knows(r.Host):
			adminapi.NewProblem(http.StatusForbidden, "unknown-host", "this listener does not answer for the host in the request: name it in HOOKSWITCH_ADMIN_HOSTS, or set HOOKSWITCH_ADMIN_TOKEN to be reached by any name").ServeHTTP(w, r)
		case g.readOnly:
			next.ServeHTTP(w, adminapi.ReadOnly(r))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// servePprof adds the profiles of the running program, if they are wanted.
func (s *Sidecar) servePprof(network, local *http.ServeMux) {
	if !s.cfg.Pprof {
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index) // and all that it lists
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol)
	network.Handle("/debug/pprof/", s.operate.Protect(mux))
	local.Handle("/debug/pprof/", mux)
}
