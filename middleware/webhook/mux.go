package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
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
	// OnError, if set, is called with every error that a handler returned,
	// panics ([PanicError]) included. If it is nil and the Mux serves HTTP, where
	// nobody else would see them, they go to Log.
	OnError func(ctx context.Context, e *Event, err error)

	// Log gets what would be seen nowhere: the errors of handlers without an
	// OnError, those of Dedupe, and payloads that do not fit their type, ten a
	// second of each at most; and names that Telnyx never sends, if it is set
	// before Handle. Nil means [slog.Default];
	// slog.New(slog.DiscardHandler) logs nothing.
	Log *slog.Logger

	// Dedupe, if set, keeps an event that was handled from being handled
	// again. A copy that arrives while the first is being handled gets a
	// retry. Leave it nil behind the sidecar, which removes duplicates itself
	// but repeats what may have failed.
	Dedupe Dedupe

	handlers map[string]HandlerFunc // by pattern
	answers  map[string]func(http.ResponseWriter, *http.Request, *Event)
	prefixes []string // the patterns that end in a star, longest first
	lines    lines
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
		if err := e.DecodePayload(payload); err != nil {
			e.Warnings = append(e.Warnings, err)
			m.logMisfit(ctx, e, err)
		}
		return h(ctx, e, payload)
	})
}

// DecodePayload decodes the payload into v, a pointer, as [On] does. Fields of
// forms (TeXML) become members of an object, a field that stands more than
// once a list. The error (an *[event.FieldError]) names the fields that did not
// fit; the others are decoded anyway. Without a payload v is left unchanged.
func (e *Event) DecodePayload(v any) error {
	data := []byte(e.Payload)
	if e.Shape == ShapeForm && data == nil {
		data = formObject(e.Raw)
	}
	if len(data) == 0 {
		return nil
	}
	if err := event.Decode(data, v); err != nil {
		return fmt.Errorf("webhook: payload of %s: %w", e.Type, err)
	}
	return nil
}

// formObject returns the JSON object of a form's fields.
func formObject(form []byte) []byte {
	values, _ := url.ParseQuery(string(form)) // what cannot be parsed is left out
	object := make(map[string]any, len(values))
	for name, v := range values {
		if object[name] = v; len(v) == 1 {
			object[name] = v[0]
		}
	}
	data, err := json.Marshal(object)
	if err != nil {
		return nil // strings always have a JSON form
	}
	return data
}

// Answer registers h for events that need an answer of their own, now: TeXML
// that asks for instructions, an AI assistant that asks for variables or calls
// a tool. h writes the response to Telnyx itself, in the time that Telnyx
// allows (one to a few seconds), and whatever it writes is the answer: there
// are no outcomes and no deduplication. A panic is answered 500, or ends the
// connection if the answer had begun.
//
// Such an event can only be handled over HTTP. Handed to [Mux.HandleEvent] it
// is a permanent error. Patterns are those of [Mux.Handle], which they share.
func (m *Mux) Answer(pattern string, h func(w http.ResponseWriter, r *http.Request, e *Event)) {
	if h == nil {
		panic("webhook: Answer with a nil handler for " + pattern)
	}
	m.Handle(pattern, func(context.Context, *Event) error {
		return Permanent(fmt.Errorf("webhook: events of the pattern %q need an answer over HTTP", pattern))
	})
	if m.answers == nil {
		m.answers = make(map[string]func(http.ResponseWriter, *http.Request, *Event))
	}
	m.answers[pattern] = h
}

// Handle registers h for every event type that fits the pattern: a type such
// as "call.hangup", a prefix such as "call.*", or "*" for whatever no other
// pattern fits, events of unknown type included. It panics if the pattern is
// malformed or already has a handler. For a name that documentation uses and
// Telnyx never sends, such as "message.delivered", it logs a warning that says
// which one is meant.
func (m *Mux) Handle(pattern string, h HandlerFunc) {
	if err := event.CheckPattern(pattern); err != nil {
		panic("webhook: Handle: " + err.Error())
	}
	if h == nil {
		panic("webhook: Handle with a nil handler for " + pattern)
	}
	if use, wrong := event.Misnomer(pattern); wrong {
		hint := "nothing is known to come in its place"
		if use != "" {
			hint = fmt.Sprintf("use %q", use)
		}
		orDefault(m.Log).Warn(fmt.Sprintf("webhook: Telnyx never sends %q: the handler for it will not run, %s", pattern, hint))
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

// pattern returns the most specific pattern that fits, or "". A name of API v1
// ("call_answered") also fits what is registered for its name in v2.
func (m *Mux) pattern(eventType string) string {
	for _, name := range [2]string{eventType, event.Canonical(eventType)} {
		if m.handlers[name] != nil && !strings.HasSuffix(name, "*") {
			return name
		}
	}
	for _, p := range m.prefixes {
		if event.Match(p, eventType) {
			return p
		}
	}
	return ""
}

// HandleEvent calls the handler of e and returns its error. A panic becomes a
// [PanicError], except for [http.ErrAbortHandler], which is panicked on. An
// event without a handler returns nil.
func (m *Mux) HandleEvent(ctx context.Context, e *Event) (err error) {
	h := m.handlers[m.pattern(e.Type)]
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
	if m.Dedupe != nil {
		return m.deduped(ctx, e, h)
	}
	return h(ctx, e)
}

// ServeHTTP handles the event that [Verifier.Handler] put into the request's
// context and answers as Telnyx understands it: 200 when done, 503 with
// Retry-After for a retry, and 200 for a permanent error too, since a retry
// by Telnyx could not help. Without a Verifier in front it answers 500:
// nothing vouches for the request.
func (m *Mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := FromContext(r.Context())
	if !ok {
		writeProblem(w, http.StatusInternalServerError, "no_verifier", "the Mux is not behind a Verifier")
		return
	}
	if answer := m.answers[m.pattern(e.Type)]; answer != nil {
		m.answer(w, r, e, answer)
		return
	}
	err := m.HandleEvent(r.Context(), e)
	outcome, after := OutcomeOf(err)
	status := http.StatusOK
	if outcome == Retry {
		status = http.StatusServiceUnavailable
	}
	if err != nil && m.OnError == nil {
		m.logError(r.Context(), e, err, status)
	}
	if outcome != Retry {
		w.WriteHeader(status) // exactly 200: Telnyx reports other 2xx as error 75299
		return
	}
	seconds := int(math.Ceil(max(after, time.Second).Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	writeProblem(w, status, "retry", "the event could not be handled now")
}

// begun knows whether a handler has begun to answer.
type begun struct {
	http.ResponseWriter
	begun bool
}

func (b *begun) WriteHeader(status int)      { b.begun = true; b.ResponseWriter.WriteHeader(status) }
func (b *begun) Write(p []byte) (int, error) { b.begun = true; return b.ResponseWriter.Write(p) }
func (b *begun) Flush()                      { b.begun = true; _ = http.NewResponseController(b.ResponseWriter).Flush() }
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (m *Mux) answer(to http.ResponseWriter, r *http.Request, e *Event, h func(http.ResponseWriter, *http.Request, *Event)) {
	w := &begun{ResponseWriter: to}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		err := &PanicError{Value: v, Stack: debug.Stack()}
		if m.OnError != nil {
			m.OnError(r.Context(), e, err)
		} else {
			status := http.StatusInternalServerError
			if w.begun {
				status = 0
			}
			m.logError(r.Context(), e, err, status)
		}
		if w.begun {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		writeProblem(w, http.StatusInternalServerError, "panic", "the handler failed")
	}()
	h(w, r, e)
}
