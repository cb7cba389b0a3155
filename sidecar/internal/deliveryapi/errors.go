package deliveryapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// apiError is one element of Telnyx's error body. The code is for programs, the
// detail for people.
type apiError struct {
	Code   string       `json:"code"`
	Title  string       `json:"title"`
	Detail string       `json:"detail"`
	Source *errorSource `json:"source,omitempty"`
	Meta   errorMeta    `json:"meta"`
}

// errorSource names the wrong query parameter, as the caller spelled it.
type errorSource struct {
	Parameter string `json:"parameter"`
}

type errorMeta struct {
	URL string `json:"url"`
}

func newError(code, title, detail string) apiError {
	return apiError{
		Code:   code,
		Title:  title,
		Detail: detail,
		Meta:   errorMeta{URL: "https://developers.telnyx.com/docs/overview/errors/" + code},
	}
}

func notFound(detail string) apiError { return newError("10005", "Resource not found", detail) }

func unauthenticated(detail string) apiError {
	return newError("10009", "Authentication failed", detail)
}

func notServed(path string) apiError {
	return notFound(fmt.Sprintf("There is nothing at %s. This is a hookswitch sidecar, which serves only %s and %s/{id}; "+
		"clients reach them with the base URL ending in /v2. All other calls go to Telnyx.", quote(path), collection, collection))
}

// unfinished explains why an event that we have is not shown as a record.
func unfinished(d *store.Delivery) string {
	var b strings.Builder
	b.WriteString("The event")
	if d.Event.ID != "" {
		b.WriteString(" " + clip(d.Event.ID))
	}
	if d.Event.Type != "" {
		fmt.Fprintf(&b, " (%s)", clip(d.Event.Type))
	}
	fmt.Fprintf(&b, " was received at %s", timestamp(d.Event.ReceivedAt))
	if len(d.Jobs) == 0 {
		b.WriteString(" and is kept, but no target wanted it, so nothing was delivered. It can be replayed to a target added later.")
		return b.String()
	}
	b.WriteString(" and its delivery is not finished:")
	for i, j := range d.Jobs {
		if i > 0 {
			b.WriteString(";")
		}
		fmt.Fprintf(&b, " %s %s", j.Target, progress(j))
	}
	b.WriteString(". A record appears here when the delivery has ended, as delivered or failed.")
	return b.String()
}

func progress(j delivery.Job) string {
	attempts := fmt.Sprintf("%d attempts", j.Attempts)
	if j.Attempts == 1 {
		attempts = "1 attempt"
	}
	switch {
	case j.State == delivery.Done:
		return "is done after " + attempts
	case j.State == delivery.Dead:
		return "was given up after " + attempts
	case j.Attempts == 0:
		return "has not been attempted yet, due at " + timestamp(j.NextAt)
	default:
		return "has failed " + attempts + " so far, the next one is due at " + timestamp(j.NextAt)
	}
}

func writeErrors(w http.ResponseWriter, status int, errs ...apiError) {
	writeJSON(w, status, struct {
		Errors []apiError `json:"errors"`
	}{errs})
}

// writeJSON writes v. The whole answer is built before the first byte is sent,
// so that a status is never taken back.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // readable bodies, as Telnyx shows them
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("deliveryapi: encoding %T: %v", v, err)) // payloads were checked; see payload
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	w.Write(body.Bytes()) // net/http leaves it out for HEAD; an error means that the client has gone
}

// clip keeps a stranger's text from filling an answer.
func clip(s string) string { return untrusted.Clip(s, 100) }

func quote(s string) string { return strconv.Quote(clip(s)) }
