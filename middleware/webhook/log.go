package webhook

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxLines is how many lines of one kind a Verifier or a Mux logs in a second:
// strangers can send as much as they like.
const maxLines = 10

// lines logs, and leaves out what is too much of a kind. The zero value is ready to
// use.
type lines struct {
	mu    sync.Mutex
	kinds map[string]*budget // of few kinds
}

// budget counts the lines of a kind in a second.
type budget struct{ logged, skipped int }

// log logs a line to l, or slog.Default() if that is nil. Lines that were left out are
// counted in a line of their own when the second is over.
func (s *lines) log(ctx context.Context, l *slog.Logger, level slog.Level, kind, text string, attrs ...slog.Attr) {
	l = orDefault(l)
	if !l.Enabled(ctx, level) {
		return
	}
	s.mu.Lock()
	b := s.kinds[kind]
	if b == nil {
		if s.kinds == nil {
			s.kinds = make(map[string]*budget)
		}
		b = new(budget)
		s.kinds[kind] = b
		time.AfterFunc(time.Second, func() {
			s.mu.Lock()
			skipped := b.skipped
			delete(s.kinds, kind)
			s.mu.Unlock()
			if skipped > 0 {
				l.Log(context.Background(), level, "webhook: more lines like these were left out", "kind", kind, "lines", skipped)
			}
		})
	}
	b.logged++
	if b.logged > maxLines {
		b.skipped++
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	l.LogAttrs(ctx, level, "webhook: "+text, attrs...)
}

func orDefault(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}

// maxLogged bounds what a stranger wrote, in a line.
const maxLogged = 200

func (v *Verifier) logRejected(r *http.Request, err *Error) {
	path := r.URL.Path
	attrs := []slog.Attr{slog.String("reason", err.Reason), slog.Int("status", err.Status), slog.String("error", err.Error()),
		slog.String("path", path[:min(len(path), maxLogged)]), slog.String("remote_addr", r.RemoteAddr)}
	if err.err == ErrBadSignature {
		attrs = append(attrs, slog.String("hint", "Verifier.Explain can say more"))
	}
	v.lines.log(r.Context(), v.Log, slog.LevelWarn, err.Reason, "a request was rejected", attrs...)
}

// logError logs the error of a handler whose event came over HTTP, where nobody else
// sees it, and the status that is answered; 0 if the connection is closed instead.
func (m *Mux) logError(ctx context.Context, e *Event, err error, status int) {
	kind, text, level := "retry", "a handler failed: the status makes the event come again", slog.LevelWarn
	attrs := []slog.Attr{slog.String("event_type", e.Type), slog.String("event_id", cmp.Or(e.ID, e.Key())), slog.Int("attempt", e.Meta.Attempt), slog.String("error", err.Error())}
	if status != 0 && ctx.Err() == nil {
		attrs = append(attrs, slog.Int("status", status))
	}
	outcome, _ := OutcomeOf(err)
	p, panicked := errors.AsType[*PanicError](err)
	switch {
	case panicked:
		kind, text, level = "panic", "a handler panicked", slog.LevelError
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	case outcome == Dead:
		kind, text, level = "permanent", "a handler gave an event up: the status keeps it from coming again", slog.LevelError
	case err == errInFlight:
		kind, text, level = "in_flight", "a copy came while the event is being handled: the status makes it come again", slog.LevelInfo
	}
	if ctx.Err() != nil { // whatever was answered, nobody read it
		text, _, _ = strings.Cut(text, ": ")
		text += "; the client had left before the answer"
	}
	m.lines.log(ctx, m.Log, level, kind, text, attrs...)
}

func (m *Mux) logDedupe(ctx context.Context, e *Event, text string, err error) {
	attrs := []slog.Attr{slog.String("event_type", e.Type), slog.String("event_id", e.ID), slog.String("error", err.Error())}
	if p, ok := errors.AsType[*dedupePanic](err); ok {
		attrs = append(attrs, slog.String("stack", string(p.stack)))
	}
	m.lines.log(ctx, m.Log, slog.LevelError, "dedupe", text, attrs...)
}

// logMisfit logs that a payload was not what its type expects. Its handler runs with
// what could be decoded.
func (m *Mux) logMisfit(ctx context.Context, e *Event, err error) {
	m.lines.log(ctx, m.Log, slog.LevelWarn, "payload", "fields of a payload do not fit its type, and are empty", slog.String("event_type", e.Type),
		slog.String("event_id", cmp.Or(e.ID, e.Key())), slog.String("error", err.Error()))
}
