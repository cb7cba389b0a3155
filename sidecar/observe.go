package sidecar

import (
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Live returns what the sidecar tells of its work while it does it.
func (s *Sidecar) Live() *live.Feed { return s.feed }

// The observers run in the path of the work. Whoever looks at the feed does so
// elsewhere, and at their own pace.

func (s *Sidecar) observeAccept(e *delivery.Event, a store.Accepted, targets []string) {
	kind := live.Accepted
	if a.Duplicate {
		kind = live.Duplicate
	}
	if p := s.passer(e.Type); p != nil { // it has had the event already
		targets = append([]string{p.Name()}, targets...)
	}
	s.feed.Publish(live.Message{
		Kind: kind, At: e.ReceivedAt.UTC(), ID: e.ID, DeliveryID: a.DeliveryID, Type: e.Type,
		KeyLabel: e.KeyLabel, Skew: seconds(e.ReceivedAt.Sub(e.SignedAt)), Targets: slices.Clone(targets),
	})
}

func (s *Sidecar) observeAttempt(e *delivery.Event, a delivery.Attempt, state delivery.State, next time.Time) {
	m := live.Message{
		Kind: live.Tried, At: a.FinishedAt.UTC(), ID: e.ID, DeliveryID: e.DeliveryID, Type: e.Type,
		Target: a.Target, N: a.N, Duration: seconds(a.FinishedAt.Sub(a.StartedAt)),
		Status: a.ResponseStatus, Error: a.Error, State: string(state),
	}
	switch state {
	case delivery.Dead:
		m.Kind = live.Dead
	case delivery.Pending:
		next = next.UTC()
		m.NextAt = &next
	}
	s.feed.Publish(m)
}

func (s *Sidecar) observeReject(r *http.Request, why accept.Rejection) {
	now := time.Now().UTC()
	m := live.Message{
		Kind: live.Rejected, At: now, Status: why.Status, Reason: why.Reason,
		Error: strings.TrimPrefix(why.Err.Error(), "webhook: "), RemoteAddr: r.RemoteAddr, Path: shorten(r.URL.Path, maxPath),
	}
	if s.rejects.Admit(now) {
		q := live.Request{
			At: now, Status: why.Status, Reason: why.Reason, Detail: m.Error, Method: r.Method,
			URI: shorten(r.RequestURI, maxURI), RemoteAddr: r.RemoteAddr, Header: headerOf(r),
		}
		q.Body, q.Whole = bodyOf(r, why.Status)
		m.ID = s.rejects.Add(q)
	}
	s.feed.Publish(m)
}

// bodyOf reads the body of a rejected request, if it is small and says
// something: one that was refused for its method, path or size does not.
func bodyOf(r *http.Request, status int) (body []byte, whole bool) {
	switch status {
	case http.StatusUnauthorized, http.StatusServiceUnavailable:
	default:
		return nil, false
	}
	if r.ContentLength < 0 || r.ContentLength > live.MaxRejectBody {
		return nil, false
	}
	body = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, false
	}
	return body, true
}

// headerOf lists the header of a request by name. net/http keeps the host
// apart.
func headerOf(r *http.Request) [][2]string {
	pairs := [][2]string{{"Host", r.Host}}
	for name, values := range r.Header {
		for _, v := range values {
			pairs = append(pairs, [2]string{name, v})
		}
	}
	slices.SortStableFunc(pairs[1:], func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return pairs
}

// What is kept of the text of strangers.
const (
	maxURI  = 2048
	maxPath = 200
)

// shorten cuts a text off between two letters.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// strays are the requests that looked like webhooks and came to a path on which
// none are received: how many, and where the latest went.
type strays struct {
	mu   sync.Mutex
	seen adminapi.StrayStatus // guarded by mu
}

func (s *strays) note(path string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at = at.UTC()
	s.seen = adminapi.StrayStatus{Count: s.seen.Count + 1, Path: shorten(path, maxPath), At: &at}
}

func (s *strays) status() adminapi.StrayStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// seconds returns a duration in seconds, to the microsecond.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1e6) / 1e6 }
