package webhook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// maxLines is how many lines a Verifier or a Mux logs in a second: strangers can
// send as much as they like.
const maxLines = 10

// lines logs, and leaves out what is too much. The zero value is ready to use.
type lines struct {
	mu      sync.Mutex
	second  int64
	logged  int
	skipped int
}

// log logs a line to l, or slog.Default() if that is nil. The next line after some
// were left out says how many.
func (s *lines) log(ctx context.Context, l *slog.Logger, level slog.Level, text string, attrs ...slog.Attr) {
	l = orDefault(l)
	if !l.Enabled(ctx, level) {
		return
	}
	s.mu.Lock()
	if now := time.Now().Unix(); now != s.second {
		s.second, s.logged = now, 0
	}
	if s.logged == maxLines {
		s.skipped++
		s.mu.Unlock()
		return
	}
	s.logged++
	skipped := s.skipped
	s.skipped = 0
	s.mu.Unlock()
	if skipped > 0 {
		attrs = append(attrs, slog.Int("not_logged", skipped))
	}
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
	v.lines.log(r.Context(), v.Log, slog.LevelWarn, "a request was rejected", attrs...)
}

// logError logs the error of a handler whose event came over HTTP: nobody else
// sees it.
func (m *Mux) logError(ctx context.Context, e *Event, err error) {
	text, level := "a handler failed: it was answered 503, so that the event comes again", slog.LevelWarn
	attrs := []slog.Attr{slog.String("event_type", e.Type), slog.String("event_id", e.ID), slog.Int("attempt", e.Meta.Attempt), slog.String("error", err.Error())}
	outcome, _ := OutcomeOf(err)
	p, panicked := errors.AsType[*PanicError](err)
	switch {
	case panicked:
		text, level = "a handler panicked", slog.LevelError
		attrs = append(attrs, slog.String("stack", string(p.Stack)))
	case outcome == Dead:
		text, level = "a handler gave an event up: it was answered 200, so that it does not come again", slog.LevelError
	case err == errInFlight:
		text, level = "a copy came while the event is being handled: it was answered 503", slog.LevelInfo
	}
	m.lines.log(ctx, m.Log, level, text, attrs...)
}

func (m *Mux) logDedupe(ctx context.Context, e *Event, text string, err error) {
	m.lines.log(ctx, m.Log, slog.LevelError, text, slog.String("event_type", e.Type), slog.String("event_id", e.ID), slog.String("error", err.Error()))
}
