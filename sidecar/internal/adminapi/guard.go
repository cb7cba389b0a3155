package adminapi

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// Access decides who may use the admin listener at all. The token is checked
// after it.
//
// Without a token, only listening on loopback protects the records. A web page
// whose name was made to resolve to 127.0.0.1 (DNS rebinding) runs on this
// machine too, but cannot hide its name: so only known names are answered. With a
// token such a page gets nowhere, and a sidecar is reached by whatever name its
// network has for it; then names are only checked if some are given.
type Access struct {
	Listen   string   // the listener's address; its host is known
	Hosts    []string // other known names, besides those of this machine
	Token    bool     // a token is required
	ReadOnly bool     // nothing may be changed
}

// Guard admits the requests that Access allows. It is safe for concurrent use.
type Guard struct{ rules atomic.Pointer[rules] }

type rules struct {
	hosts    []string // besides this machine's names; lower case
	anyHost  bool
	readOnly bool
}

// NewGuard returns a Guard that enforces a.
func NewGuard(a Access) *Guard {
	g := new(Guard)
	g.Set(a)
	return g
}

// Set replaces the rules, for requests from now on.
func (g *Guard) Set(a Access) {
	r := &rules{anyHost: a.Token && len(a.Hosts) == 0, readOnly: a.ReadOnly}
	for _, h := range a.Hosts {
		r.hosts = append(r.hosts, strings.ToLower(h))
	}
	if host, _, err := net.SplitHostPort(a.Listen); err == nil && host != "" {
		r.hosts = append(r.hosts, strings.ToLower(host))
	}
	g.rules.Store(r)
}

// knows reports whether the Host header of a request is a known one.
func (r *rules) knows(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]") // no port
	}
	return r.anyHost || listen.IsLoopback(host) || slices.Contains(r.hosts, strings.TrimSuffix(strings.ToLower(host), "."))
}

// Handler protects everything on the admin listener: it only answers for known
// hosts, not for pages of another origin, and refuses changes if they are not
// allowed.
func (g *Guard) Handler(next http.Handler) http.Handler {
	origins := http.NewCrossOriginProtection()
	origins.SetDenyHandler(NewProblem(http.StatusForbidden, "cross-origin", "the request comes from a page of another origin"))
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch rules := g.rules.Load(); {
		case r.URL.Path == "/livez" || r.URL.Path == "/readyz":
			// Probes ask by address, and learn nothing that matters.
			next.ServeHTTP(w, r)
		case !rules.knows(r.Host):
			NewProblem(http.StatusForbidden, "unknown-host", "this listener does not answer for the host in the request: name it in HOOKSWITCH_ADMIN_HOSTS, or set HOOKSWITCH_ADMIN_TOKEN to be reached by any name").ServeHTTP(w, r)
		case rules.readOnly:
			next.ServeHTTP(w, ReadOnly(r))
		default:
			next.ServeHTTP(w, r)
		}
	})
}
