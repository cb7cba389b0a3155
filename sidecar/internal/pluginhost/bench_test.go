//go:build unix

package pluginhost

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
)

// BenchmarkDeliver is one event to a plugin that does nothing, and its result,
// by the number of events at the same time. The body has 1.2 KB.
func BenchmarkDeliver(b *testing.B) {
	for _, callers := range []int{2, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := startSetup(b, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) }, "good")
			p := s.plugin(b, "good")
			work := task(1, "ack")
			work.Event.Body = append(work.Event.Body, bytes.Repeat([]byte(" "), 1100)...)
			b.ReportAllocs()
			b.SetParallelism(max(callers/runtime.GOMAXPROCS(0), 1))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := p.Deliver(b.Context(), work); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkStart is one plugin from the start of its process to the first event
// that it could take, and its stop.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		s := startSetup(b, func(c *Config) { c.Log = slog.New(slog.DiscardHandler) }, "good")
		s.Stop()
	}
}
