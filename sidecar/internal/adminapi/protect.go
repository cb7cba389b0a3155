package adminapi

import (
	"net/http"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// Protect protects a handler beside the API like the API itself.
func (a *API) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			a.fail(w, r, problem(http.StatusUnauthorized, "unauthorized", "send the token of HOOKSWITCH_ADMIN_TOKEN as Authorization: Bearer TOKEN"))
			return
		}
		listen.Prove(r.Context())
		next.ServeHTTP(w, r)
	})
}
