package adminapi

import (
	"net/http"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
)

// Protect lets only those reach a handler beside the API who may use the API.
func (a *API) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.authorized(r) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			a.fail(w, r, problem(http.StatusUnauthorized, "unauthorized", "send the token that HOOKSWITCH_ADMIN_TOKEN sets as Authorization: Bearer TOKEN"))
			return
		}
		listen.Prove(r.Context())
		next.ServeHTTP(w, r)
	})
}
