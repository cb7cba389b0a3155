package pluginhost

import (
	"io"
	"log/slog"

	"google.golang.org/grpc/grpclog"
)

// TakeLogs has errors of gRPC logged, at level debug, which otherwise it prints
// to standard error by itself: what they mean for an attempt or a plugin is
// logged where it is known. It is for the whole process, and called before any
// plugin is started.
func TakeLogs(log *slog.Logger) {
	errors := slog.NewLogLogger(log.Handler(), slog.LevelDebug).Writer()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, errors))
}
