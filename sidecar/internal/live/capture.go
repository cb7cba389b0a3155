package live

import (
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// maxURI is how much of a URI is kept.
const maxURI = 2048

// Capture returns what is kept of a request that was just rejected. It reads the
// rest of the body.
func Capture(r *http.Request, at time.Time, status int, reason, detail string) Request {
	q := Request{
		At: at, Status: status, Reason: reason, Detail: detail, Method: r.Method,
		URI: untrusted.Prefix(r.RequestURI, maxURI), RemoteAddr: r.RemoteAddr,
		// net/http keeps the host apart.
		Header: slices.Concat([][2]string{{"Host", r.Host}}, delivery.ListHeader(r.Header)),
	}
	q.Body, q.Whole = bodyOf(r, status)
	return q
}

// bodyOf reads the body of a rejected request, if it is small and explains
// anything: one that was refused for its method, path or size does not.
func bodyOf(r *http.Request, status int) (body []byte, whole bool) {
	switch status {
	case http.StatusUnauthorized, http.StatusServiceUnavailable:
	default:
		return nil, false
	}
	if r.ContentLength < 0 || r.ContentLength > MaxRejectBody {
		return nil, false
	}
	body = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, false
	}
	return body, true
}
