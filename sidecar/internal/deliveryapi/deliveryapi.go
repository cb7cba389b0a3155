// Package deliveryapi serves the history of an event, attempt by attempt, in the
// schema of Telnyx's own webhook_deliveries API. The official SDKs and command
// line tools read it when their base URL points here:
//
//	TELNYX_BASE_URL=http://127.0.0.1:9080/v2
//
// Start with [New] and mount [API.Handler]; it serves
//
//	GET /v2/webhook_deliveries        finished deliveries, most recently received first
//	GET /v2/webhook_deliveries/{id}   one of them, by delivery id or event id
//
// The schema knows two states, delivered and failed, so only events whose every
// job has ended are shown. For any other event the answer is a 404 whose detail
// shows its progress: a third state would break typed clients.
//
// # Strictness
//
// Parameters that choose records are never ignored: an unknown filter[...] or
// page[...], or a bad value, is a 422 that names every offender at once, because
// the answer to a different question looks like a right one. Other parameters
// are ignored, as Telnyx does.
package deliveryapi

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/sidecar/internal/listen"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Reader is the part of a [store.Store] that this package uses.
type Reader interface {
	Delivery(ctx context.Context, id string) (*store.Delivery, error)
	Deliveries(ctx context.Context, f store.Filter) ([]store.Delivery, int, error)
}

// Config configures an [API].
type Config struct {
	// Store has the records. It is required, and stays open for as long as
	// the handler serves; the API does not close it.
	Store Reader

	// UserID appears as user_id in every record. It must be a UUID; empty
	// means the nil UUID.
	UserID string

	// Token is the only bearer token accepted. If it is empty any token is
	// accepted: the clients insist on sending one, and a listener that only
	// this machine can reach needs no more.
	Token string

	// Log receives failures of the store; tokens are never logged. nil
	// discards.
	Log *slog.Logger
}

// API serves delivery records. It has no state of its own; its handler is safe
// for concurrent use.
type API struct {
	store  Reader
	userID string
	token  atomic.Pointer[[sha256.Size]byte] // digest of the token, nil when any is accepted
	log    *slog.Logger
}

// New returns an API that reads from c.Store. It fails when there is no store
// or when the user id is not a UUID.
func New(c Config) (*API, error) {
	a := &API{store: c.Store, userID: strings.ToLower(c.UserID), log: c.Log}
	if a.store == nil {
		return nil, errors.New("deliveryapi: no store")
	}
	a.userID = cmp.Or(a.userID, uuid.Nil.String())
	// Validate alone would accept braces and a urn: prefix as well.
	if len(a.userID) != 36 || uuid.Validate(a.userID) != nil {
		return nil, fmt.Errorf("deliveryapi: user id %q is not a UUID such as %s", c.UserID, uuid.Nil)
	}
	a.SetToken(c.Token)
	a.log = cmp.Or(a.log, slog.New(slog.DiscardHandler))
	return a, nil
}

// SetToken changes Config.Token, for requests from now on.
func (a *API) SetToken(token string) {
	if token == "" {
		a.token.Store(nil)
		return
	}
	sum := sha256.Sum256([]byte(token))
	a.token.Store(&sum)
}

const collection = "/v2/webhook_deliveries"

// Handler serves /v2/webhook_deliveries and the paths below it. Every other path
// is a 404 that explains this, so the handler may be mounted on all of /v2/: a
// client whose base URL points here may well call something else.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serve) }

func (a *API) serve(w http.ResponseWriter, r *http.Request) {
	if problem := a.authenticate(r); problem != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="hookswitch"`)
		writeErrors(w, http.StatusUnauthorized, *problem)
		return
	}
	listen.Prove(r.Context())
	// http.ServeMux would answer some of these itself: it redirects paths that
	// are not clean and writes errors as plain text.
	rest, found := strings.CutPrefix(r.URL.EscapedPath(), collection)
	id, isRecord := strings.CutPrefix(rest, "/")
	id, err := url.PathUnescape(id)
	switch {
	case !found || rest != "" && !isRecord || isRecord && id == "" || err != nil:
		writeErrors(w, http.StatusNotFound, notServed(r.URL.Path))
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		writeErrors(w, http.StatusMethodNotAllowed, newError("10030", "Method not allowed",
			fmt.Sprintf("%s is not possible here: delivery records can only be read, with GET.", clip(r.Method))))
	case isRecord:
		a.retrieve(w, r, id)
	default:
		a.list(w, r)
	}
}

// authenticate returns nil if the request may be answered.
func (a *API) authenticate(r *http.Request) *apiError {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		e := unauthenticated("The request has no bearer token. Set an API key in the client, any will do " +
			"unless HOOKSWITCH_ADMIN_TOKEN is set, or send the header Authorization: Bearer KEY.")
		return &e
	}
	want := a.token.Load()
	if want == nil {
		return nil
	}
	// Digests are compared so that the time taken does not even show the length
	// of the token.
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare(sum[:], want[:]) != 1 {
		e := unauthenticated("The bearer token is not that of HOOKSWITCH_ADMIN_TOKEN.")
		return &e
	}
	return nil
}

func (a *API) retrieve(w http.ResponseWriter, r *http.Request, id string) {
	d, err := a.store.Delivery(r.Context(), id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		writeErrors(w, http.StatusNotFound, notFound(fmt.Sprintf("No webhook delivery and no event has the id %s.", quote(id))))
	case err != nil:
		a.unavailable(w, r, err)
	case !d.Final():
		writeErrors(w, http.StatusNotFound, notFound(unfinished(d)))
	default:
		writeJSON(w, http.StatusOK, struct {
			Data record `json:"data"`
		}{newRecord(d, a.userID)})
	}
}

func (a *API) list(w http.ResponseWriter, r *http.Request) {
	q, problems := parseQuery(r.URL.RawQuery)
	if len(problems) > 0 {
		writeErrors(w, http.StatusUnprocessableEntity, problems...)
		return
	}
	deliveries, total, err := a.store.Deliveries(r.Context(), q.filter)
	if err != nil {
		a.unavailable(w, r, err)
		return
	}
	records := make([]record, 0, len(deliveries)) // never null
	for i := range deliveries {
		records = append(records, newRecord(&deliveries[i], a.userID))
	}
	writeJSON(w, http.StatusOK, page{
		Data: records,
		Meta: pageMeta{
			PageNumber:   q.number,
			PageSize:     q.size,
			TotalPages:   (total + q.size - 1) / q.size,
			TotalResults: total,
		},
	})
}

// page is one page of a list. The official clients ask for page after page
// without end if its meta is missing, so it is always there.
type page struct {
	Data []record `json:"data"`
	Meta pageMeta `json:"meta"`
}

type pageMeta struct {
	PageNumber   int64 `json:"page_number"`
	PageSize     int   `json:"page_size"`
	TotalPages   int   `json:"total_pages"`
	TotalResults int   `json:"total_results"`
}

// unavailable answers when the store cannot be read. 503 rather than 500: the
// clients retry both, and the trouble does pass.
func (a *API) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil { // otherwise the client has gone away, which needs no line
		a.log.ErrorContext(r.Context(), "delivery records cannot be read", "code", telemetry.CodeRecordsUnreadable, "path", r.URL.Path, "err", err)
	}
	w.Header().Set("Retry-After", "1")
	writeErrors(w, http.StatusServiceUnavailable, newError("10037", "Service unavailable",
		"The store cannot be read at the moment. Nothing that was accepted is lost; the sidecar's log has the cause."))
}
