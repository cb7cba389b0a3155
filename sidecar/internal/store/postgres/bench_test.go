package postgres_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/pgtest"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/postgres"
)

// BenchmarkAccept stores events with one job each from a number of producers.
// One by one there is a group, and so a commit, for each.
func BenchmarkAccept(b *testing.B) {
	server := pgtest.Start(b)
	for _, size := range []int{postgres.MaxGroupOps(), 1} {
		name := "group"
		if size == 1 {
			name = "each"
		}
		for _, producers := range []int{1, 16, 64, 256} {
			b.Run(fmt.Sprintf("%s/producers=%d", name, producers), func(b *testing.B) {
				db := mustOpen(b, postgres.Config{URL: server.Database(b)})
				db.SetMaxGroupOps(size)
				run(b, producers, func(n int64) {
					accept(b, db, fmt.Sprint(n), target)
				})
			})
		}
	}
}

// BenchmarkCycle is the way of an event through the store: accept, claim,
// finish.
func BenchmarkCycle(b *testing.B) {
	server := pgtest.Start(b)
	for _, workers := range []int{16, 64} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			db := mustOpen(b, postgres.Config{URL: server.Database(b)})
			run(b, workers, func(n int64) {
				name := fmt.Sprint("plugin:", n%int64(workers))
				accept(b, db, fmt.Sprint(n), name)
				tasks, err := db.Claim(b.Context(), name, time.Now(), 1)
				for _, task := range tasks {
					if err == nil {
						err = db.Finish(b.Context(), done(task), delivery.Done, time.Time{})
					}
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}

func run(b *testing.B, producers int, fn func(n int64)) {
	var n atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range producers {
		wg.Go(func() {
			for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
				fn(i)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
