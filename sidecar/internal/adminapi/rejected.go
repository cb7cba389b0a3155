package adminapi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

// Rejected is a request that was not let in. It is kept in memory, for an hour
// at most. Fields are only ever added.
type Rejected struct {
	ID         string     `json:"id"` // r_…
	At         *time.Time `json:"at"`
	Status     int        `json:"response_status"` // what was answered
	Reason     string     `json:"reason"`          // a word, such as bad_signature
	Detail     string     `json:"detail"`
	Method     string     `json:"method"`
	URI        string     `json:"uri"`
	RemoteAddr string     `json:"remote_addr"`

	// The rest is present when a single request is requested.
	Headers  [][2]string `json:"headers,omitempty"`
	Body     []byte      `json:"body_base64,omitempty"`
	HasBody  bool        `json:"has_body"` // the body was read and is whole
	BodySize int         `json:"body_size"`
}

func viewRejected(q *live.Request) Rejected {
	return Rejected{
		ID: q.ID, At: instant(q.At), Status: q.Status, Reason: q.Reason, Detail: q.Detail, Method: q.Method,
		URI: q.URI, RemoteAddr: q.RemoteAddr, HasBody: q.Whole, BodySize: len(q.Body),
	}
}

func (a *API) listRejected(w http.ResponseWriter, _ *http.Request) error {
	return replyList(w, a.cfg.Rejects.List(time.Now()), viewRejected)
}

func (a *API) getRejected(w http.ResponseWriter, r *http.Request) error {
	q, err := a.findRejected(r.PathValue("id"))
	if err != nil {
		return err
	}
	v := viewRejected(q)
	v.Headers, v.Body = q.Header, q.Body
	return reply(w, http.StatusOK, v)
}

// findRejected returns the request with an id, or with the only id that has this
// beginning.
func (a *API) findRejected(id string) (*live.Request, error) {
	var found []*live.Request
	if len(id) > len("r_") {
		found = a.cfg.Rejects.Find(time.Now(), id)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, NewProblem(http.StatusNotFound, "not-found", fmt.Sprintf("no rejected request %q: the latest %d are kept, for %s, and none over a restart", id, live.MaxRejects, live.MaxRejectAge))
	}
	return nil, NewProblem(http.StatusNotFound, "ambiguous-id", fmt.Sprintf("%d rejected requests begin with %q: give more of the id", len(found), id))
}

// VerifyRequest is a request to explain a signature: of a request that the
// sidecar has, by its id, or of the given one.
type VerifyRequest struct {
	ID      string      `json:"id,omitempty"` // of an event, a delivery or a rejected request
	Headers [][2]string `json:"headers,omitempty"`
	Body    []byte      `json:"body_base64,omitempty"`

	// At is the time of the check: RFC 3339, or how long ago. Empty: when the
	// request was received, or now for a given one.
	At string `json:"at,omitempty"`
}

// Verification is the explanation of a signature. Fields are only ever added.
type Verification struct {
	Valid bool               `json:"valid"`
	At    *time.Time         `json:"at"`    // the time of the check
	Steps []VerificationStep `json:"steps"` // in the order in which the checks run
	Cause string             `json:"cause"` // the likely cause; empty if it is valid or unknown
}

// VerificationStep is one check.
type VerificationStep struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// ViewExplanation shows an explanation as the API does.
func ViewExplanation(x webhook.Explanation, at time.Time) Verification {
	v := Verification{Valid: x.Genuine, At: instant(at), Steps: []VerificationStep{}, Cause: x.Cause}
	for _, s := range x.Steps {
		v.Steps = append(v.Steps, VerificationStep(s))
	}
	return v
}

// verify explains a signature with the keys of the sidecar.
func (a *API) verify(w http.ResponseWriter, r *http.Request) error {
	var req VerifyRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	if (req.ID != "") == (req.Headers != nil) {
		return badRequest("give either an id, or headers and body_base64")
	}
	at, err := parseTime("at", req.At, time.Now())
	if err != nil {
		return err
	}
	received := time.Now()
	if req.ID != "" {
		if received, err = a.verifyStored(r, &req); err != nil {
			return err
		}
	}
	if at.IsZero() {
		at = received
	}
	h := make(http.Header)
	for _, pair := range req.Headers {
		h.Add(pair[0], pair[1])
	}
	return reply(w, http.StatusOK, ViewExplanation(a.cfg.Verify(at, h, req.Body), at))
}

// verifyStored fills in a request that the sidecar has, and returns when it was
// received.
func (a *API) verifyStored(r *http.Request, req *VerifyRequest) (time.Time, error) {
	if strings.HasPrefix(strings.ToLower(req.ID), "r_") {
		q, err := a.findRejected(req.ID)
		if err != nil {
			return time.Time{}, err
		}
		if !q.Whole {
			return time.Time{}, NewProblem(http.StatusUnprocessableEntity, "no-body", "the body of "+q.ID+" was not kept: it was rejected before that ("+q.Detail+")")
		}
		req.Headers, req.Body = q.Header, q.Body
		return q.At, nil
	}
	d, err := a.cfg.Store.Delivery(r.Context(), req.ID)
	if err != nil {
		return time.Time{}, err
	}
	req.Headers, req.Body = d.Event.Header, d.Event.Body
	return d.Event.ReceivedAt, nil
}
