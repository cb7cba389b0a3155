package adminapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// list returns an operation that answers with a page of events, of one status if
// only is set.
func (a *API) list(only store.Status) operation {
	return func(w http.ResponseWriter, r *http.Request) error {
		p := page{limit: defaultLimit}
		q, err := queryOf(r, p.read)
		if err != nil {
			return err
		}
		if only != "" {
			q.Status = only
		}
		got, err := a.cfg.Store.Events(r.Context(), q, p.before, p.limit)
		if err != nil {
			return err
		}
		out := EventPage{Data: []Event{}, NextCursor: cursor(got.Next)}
		for _, d := range got.Deliveries {
			out.Data = append(out.Data, viewEvent(&d))
		}
		return reply(w, http.StatusOK, out)
	}
}

func (a *API) getEvent(w http.ResponseWriter, r *http.Request) error {
	d, err := a.cfg.Store.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, viewWhole(d))
}

// viewWhole shows a whole delivery.
func viewWhole(d *store.Delivery) Event {
	v := viewEvent(d)
	v.Headers, v.BodySize = d.Event.Header, len(d.Event.Body)
	if untrusted.Embeddable(d.Event.Body) {
		v.Body = d.Event.Body
	}
	for _, attempt := range d.Attempts {
		v.Attempts = append(v.Attempts, viewAttempt(attempt))
	}
	return v
}

// getPayload answers with the exact bytes. A browser must not take them for a
// page: they are a stranger's.
func (a *API) getPayload(w http.ResponseWriter, r *http.Request) error {
	d, err := a.cfg.Store.Delivery(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	contentType := "application/octet-stream"
	for _, h := range d.Event.Header {
		if http.CanonicalHeaderKey(h[0]) == "Content-Type" {
			contentType = h[1]
		}
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Disposition", "attachment")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(d.Event.Body)))
	_, _ = w.Write(d.Event.Body)
	return nil
}

// exportEvents writes one whole event per line, newest first, for as long as the
// reader reads. An error in the middle ends it without a last line, and breaks
// the connection so that it is not taken for the end.
func (a *API) exportEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := queryOf(r, nil)
	if err != nil {
		return err
	}
	var out *json.Encoder
	flush := http.NewResponseController(w).Flush
	for before := int64(0); ; {
		got, err := a.cfg.Store.Events(r.Context(), q, before, defaultLimit)
		if err != nil {
			return a.breakOff(out != nil, err)
		}
		if out == nil {
			w.Header().Set("Content-Type", "application/jsonl")
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
			out = json.NewEncoder(w)
		}
		for _, d := range got.Deliveries {
			whole, err := a.cfg.Store.Delivery(r.Context(), d.Event.DeliveryID)
			if err != nil {
				return a.breakOff(true, err)
			}
			if err := out.Encode(viewWhole(whole)); err != nil {
				return a.breakOff(true, err)
			}
		}
		_ = flush()
		if before = got.Next; before == 0 {
			return nil
		}
	}
}

// breakOff returns an error that can still be answered; otherwise it ends the
// connection.
func (a *API) breakOff(begun bool, err error) error {
	if !begun {
		return err
	}
	a.cfg.Log.Error("an export broke off", "code", telemetry.CodeExportBroken, "error", err)
	panic(http.ErrAbortHandler)
}
