package pluginhost

import (
	"io"
	"log/slog"

	"google.golang.org/grpc/grpclog"
)

// TakeLogs logs gRPC's errors at level debug, which it would otherwise print to
// standard error: their meaning for an attempt or a plugin is logged where it is
// known. It is for the whole process, and called before any plugin is started.
func TakeLogs(log *slog.Logger) {
	errors := slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, errors))
}
