package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// BenchmarkAccept compares shared commits with one commit for each event.
// bench.txt has results.
func BenchmarkAccept(b *testing.B) {
	body := make([]byte, 1200)
	for _, producers := range []int{1, 16, 64} {
		for _, shared := range []bool{true, false} {
			name := fmt.Sprintf("producers=%d/group", producers)
			if !shared {
				name = fmt.Sprintf("producers=%d/one-commit-each", producers)
			}
			b.Run(name, func(b *testing.B) {
				g := new(gate)
				db, err := sqlite.OpenWithCommit(b.Context(), sqlite.Config{Dir: b.TempDir()}, g.commit)
				if err != nil {
					b.Fatal(err)
				}
				defer db.Close()
				var alone sync.Mutex // one in the store at a time means groups of one
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range producers {
					wg.Go(func() {
						for {
							n := next.Add(1)
							if n > int64(b.N) {
								return
							}
							e := newEvent(fmt.Sprintf("%016x", n*0x2545F4914F6CDD1D))
							e.Body = body
							if !shared {
								alone.Lock()
							}
							_, err := db.Accept(context.Background(), e, []string{"plugin:a"})
							if !shared {
								alone.Unlock()
							}
							if err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
				b.ReportMetric(float64(b.N)/float64(g.commits.Load()), "events/commit")
			})
		}
	}
}
