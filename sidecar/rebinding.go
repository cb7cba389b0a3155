package sidecar

import (
	"net"
	"net/http"
)

// loopbackOnly refuses requests for another host than this machine. Without a
// token, listening on loopback is all that protects the records; a web page
// whose name was made to resolve to 127.0.0.1 (DNS rebinding) runs on this
// machine too, but cannot hide its name.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host // no port
		}
		if len(host) > 2 && host[0] == '[' {
			host = host[1 : len(host)-1]
		}
		if !isLoopback(host) {
			http.Error(w, "this listener answers for localhost only: set HOOKSWITCH_ADMIN_TOKEN to reach it by another name", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
