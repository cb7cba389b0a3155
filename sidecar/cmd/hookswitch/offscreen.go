package main

import (
	"context"
	"log/slog"

	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// offScreen passes on the lines of a log that the screen of "hookswitch dev"
// does not show in its own way: all but rejected requests.
type offScreen struct{ slog.Handler }

func (h offScreen) Handle(ctx context.Context, r slog.Record) error {
	shown := false
	r.Attrs(func(a slog.Attr) bool {
		shown = a.Key == "code" && a.Value.Any() == any(telemetry.CodeRequestRejected)
		return !shown
	})
	if shown {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h offScreen) WithAttrs(attrs []slog.Attr) slog.Handler {
	return offScreen{h.Handler.WithAttrs(attrs)}
}

func (h offScreen) WithGroup(name string) slog.Handler { return offScreen{h.Handler.WithGroup(name)} }
