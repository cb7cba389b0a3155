package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// HandlerFunc handles an event. The error decides what happens next; see
// [Outcome].
type HandlerFunc func(ctx context.Context, e *Event) error

// Mux routes events to handlers by their type. The zero value is ready to
// use. Register every handler before the first event; handling is then safe
// for concurrent use.
//
// Exactly one handler is called for an event: the one registered for its type,
// else the one with the longest matching prefix such as "message.*", else the
// catch-all "*". An event without a handler is done.
type Mux struct {
	// OnError, if set, is told of every error that a handler returned,
	// panics ([PanicError]) included. It is the only place where a
	// [Permanent] error shows when the Mux serves HTTP.
	OnError func(ctx context.Context, e *Event, err error)

	handlers map[string]HandlerFunc // by pattern
	prefixes []string               // the patterns that end in a star, longest first
}

// On registers h for one event type. The type of its payload follows from the
// name; a handler for another payload does not compile.
//
// The payload is decoded gently: a field of a surprising JSON type keeps its
// zero value and is listed in [Event.Warnings]. An event without a payload
// calls h with the zero payload.
//
// On panics if the type already has a handler.
func On[P any](m *Mux, name event.Name[P], h func(ctx context.Context, e *Event, payload *P) error) {
	if h == nil {
		panic("webhook: On with a nil handler for " + name.String())
	}
	m.Handle(name.String(), func(ctx context.Context, e *Event) error {
		payload := new(P)
		if len(e.Payload) > 0 {
			// The syntax was checked, so what fails is the type of a
			// field, and the decoder has gone on with the others.
			if err := json.Unmarshal(e.Payload, payload); err != nil {
				e.Warnings = append(e.Warnings, fmt.Errorf("webhook: payload of %s: %w", e.Type, err))
			}
		}
		return h(ctx, e, payload)
	})
}

// Handle registers h for every event type that fits the pattern: a type such
// as "call.hangup", a prefix such as "call.*", or "*" for whatever no other
// pattern fits, events of unknown type included. It panics if the pattern is
// malformed or already has a handler.
func (m *Mux) Handle(pattern string, h HandlerFunc) {
	if err := event.CheckPattern(pattern); err != nil {
		panic("webhook: Handle: " + err.Error())
	}
	if h == nil {
		panic("webhook: Handle with a nil handler for " + pattern)
	}
	if m.handlers[pattern] != nil {
		panic(fmt.Sprintf("webhook: pattern %q has two handlers", pattern))
	}
	if m.handlers == nil {
		m.handlers = make(map[string]HandlerFunc)
	}
	m.handlers[pattern] = h
	if strings.HasSuffix(pattern, "*") {
		m.prefixes = append(m.prefixes, pattern)
		slices.SortFunc(m.prefixes, func(a, b string) int { return len(b) - len(a) })
	}
}

// Patterns returns the registered patterns in alphabetical order.
func (m *Mux) Patterns() []string {
	patterns := make([]string, 0, len(m.handlers))
	for p := range m.handlers {
		patterns = append(patterns, p)
	}
	slices.Sort(patterns)
	return patterns
}

func (m *Mux) handler(eventType string) HandlerFunc {
	if h := m.handlers[eventType]; h != nil && !strings.HasSuffix(eventType, "*") {
		return h
	}
	for _, p := range m.prefixes {
		if event.Match(p, eventType) {
			return m.handlers[p]
		}
	}
	return nil
}

// HandleEvent calls the handler of e and returns its error. A panic becomes a
// [PanicError], except for [http.ErrAbortHandler], which goes on. An event
// without a handler returns nil.
func (m *Mux) HandleEvent(ctx context.Context, e *Event) (err error) {
	h := m.handler(e.Type)
	if h == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		if err != nil && m.OnError != nil {
			m.OnError(ctx, e, err)
		}
	}()
	return h(ctx, e)
}

// ServeHTTP handles the event that [Verifier.Handler] put into the request's
// context and answers as Telnyx understands it: 200 when done, 503 with
// Retry-After for a retry, and 200 for a permanent error too, since a retry
// by Telnyx could not mend it. Without a Verifier in front it answers 500:
// nothing vouches for the request.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := FromContext(r.Context())
	if !ok {
		writeProblem(w, http.StatusInternalServerError, "no_verifier", "the Mux is not behind a Verifier")
		return
	}
	outcome, after := OutcomeOf(m.HandleEvent(r.Context(), e))
	if outcome != Retry {
		w.WriteHeader(http.StatusOK) // exactly 200: Telnyx reports other 2xx as error 75299
		return
	}
	seconds := int(math.Ceil(max(after, time.Second).Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	writeProblem(w, http.StatusServiceUnavailable, "retry", "the event could not be handled now")
}
