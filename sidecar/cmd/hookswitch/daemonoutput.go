package main

import (
	"io"
	stdlog "log"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/hookswitch/hookswitch/sidecar/internal/pluginhost"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// neverWait makes an output one that a sidecar can have: it waits for no reader,
// and goes on when the reader goes away. It returns where the output is counted.
func neverWait(w io.Writer, name string) *telemetry.LogWriter {
	// Of a signal that is caught, a write to a broken pipe is no more than an
	// error. Ignored it would stay ignored in plugins and in the app.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	return newOutlet(w).detach(name)
}

// takeLogs has what libraries would print to standard error by themselves
// logged: net/http says there what an app has sent without being asked.
func takeLogs(log *slog.Logger) {
	stdlog.SetFlags(0)
	stdlog.SetOutput(slog.NewLogLogger(log.Handler(), slog.LevelInfo).Writer())
	pluginhost.TakeLogs(log)
}
