package adminapi

import (
	"context"
	"net/http"
	"slices"
)

type readOnlyKey struct{}

// ReadOnly returns a request that may look at everything and change nothing.
func ReadOnly(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), readOnlyKey{}, true))
}

// lookers are the operations other than GET that may only look: they decide when
// they have read the request.
var lookers = []string{
	"POST /api/v1/verify",
	"POST /api/v1/replays",
	"POST /api/v1/retry",
	"POST /api/v1/dead-letters/requeue",
	"POST /api/v1/dead-letters/discard",
}

// guarded returns what serves a route, for requests that may change something
// if it does.
func (r route) guarded() operation {
	if r.method == http.MethodGet || slices.Contains(lookers, r.method+" "+r.path) {
		return r.serve
	}
	return func(w http.ResponseWriter, req *http.Request) error {
		if err := mayChange(req); err != nil {
			return err
		}
		return r.serve(w, req)
	}
}

// mayChange returns why a request may not change anything, if that is so.
func mayChange(r *http.Request) error {
	if r.Context().Value(readOnlyKey{}) == nil {
		return nil
	}
	return NewProblem(http.StatusForbidden, "read-only", "HOOKSWITCH_ADMIN_READONLY is set: use the commands on the machine of the sidecar, which go through its socket")
}
