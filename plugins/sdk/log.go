package sdk

import (
	"context"
	"log/slog"
	"strings"

	"github.com/hookswitch/hookswitch/plugins/sdk/internal/service"
)

// Log returns the logger to use in a handler: what it writes appears in the
// sidecar's log, with the event's id, type and attempt attached. With a context
// from outside a handler it returns the plugin's logger, without them;
// outside of a sidecar, it writes to slog.Default.
func Log(ctx context.Context) *slog.Logger {
	if log, ok := service.Logger(ctx); ok {
		return log
	}
	if !hosted() {
		return slog.Default()
	}
	return hostLogger()
}

// hostLogger writes the JSON that go-plugin's hosts understand, in the form of
// hclog. It writes to the original standard error: os.Stderr is replaced while
// serving.
func hostLogger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(stderr, &slog.HandlerOptions{
		Level: slog.LevelDebug, // the host decides what to keep
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				a.Key = "@timestamp"
			case slog.MessageKey:
				a.Key = "@message"
			case slog.LevelKey:
				a.Key = "@level"
				a.Value = slog.StringValue(strings.ToLower(a.Value.String()))
			}
			return a
		},
	}))
}
