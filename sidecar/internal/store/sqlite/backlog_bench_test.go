package sqlite_test

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// waiting fills a store with events that wait for a target that is down.
func waiting(b *testing.B, n int) (dir string, db *sqlite.DB) {
	b.Helper()
	dir = b.TempDir()
	db, err := sqlite.Open(b.Context(), sqlite.Config{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	const producers = 64
	for p := range producers {
		wg.Go(func() {
			for i := p; i < n; i += producers {
				e := newEvent(fmt.Sprint("waiting", i))
				e.Body = fmt.Appendf(nil, "%01200d", i)
				if i%1000 == 0 {
					e.Type = "fax.received"
				}
				if _, err := db.Accept(b.Context(), e, []string{"forward:down"}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return dir, db
}

// BenchmarkBacklog is what an operator and a live target notice of 100,000
// events that wait for another target, or as many as HOOKSWITCH_BACKLOG says.
func BenchmarkBacklog(b *testing.B) {
	n, err := strconv.Atoi(cmp.Or(os.Getenv("HOOKSWITCH_BACKLOG"), "100000"))
	if err != nil {
		b.Fatal(err)
	}
	dir, db := waiting(b, n)
	for name, q := range map[string]store.Query{
		"all":         {},
		"pending":     {Status: store.StatusPending},
		"dead":        {Status: store.StatusDead},
		"target":      {Status: store.StatusPending, Target: "forward:down"},
		"type":        {Types: []string{"fax.*"}},
		"text":        {Text: "0000099999"},
		"text-absent": {Text: "nowhere"},
		"since":       {Since: time.Now().Add(time.Hour)},
	} {
		b.Run("page/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Events(b.Context(), q, 0, 50); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("stats", func(b *testing.B) {
		for b.Loop() {
			if _, err := db.Stats(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, age := range map[string]time.Duration{"young": time.Hour, "pending": -time.Hour} {
		b.Run("prune/"+name, func(b *testing.B) {
			for b.Loop() {
				for more := true; more; {
					p, err := db.Prune(b.Context(), store.Retention{Before: time.Now().Add(-age)}, 500)
					if more = p.More; err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
	b.Run("claim", func(b *testing.B) {
		for b.Loop() {
			tasks, err := db.Claim(b.Context(), "forward:down", time.Now(), 1)
			if err != nil || len(tasks) != 1 {
				b.Fatal(len(tasks), err)
			}
			if err := db.Release(b.Context(), tasks[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	cycle := func(db *sqlite.DB) func(b *testing.B) {
		return func(b *testing.B) {
			defer func() {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MiB")
			}()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					e := newEvent("")
					e.Key = fmt.Sprint(time.Now().UnixNano(), pb)
					if _, err := db.Accept(b.Context(), e, []string{"plugin:live"}); err != nil {
						b.Fatal(err)
					}
					tasks, err := db.Claim(b.Context(), "plugin:live", time.Now(), 1)
					if err != nil {
						b.Fatal(err)
					}
					for _, task := range tasks {
						a := delivery.Attempt{JobID: task.Job.ID, DeliveryID: task.Event.DeliveryID, Target: task.Job.Target, N: 1, Outcome: delivery.OutcomeDone, StartedAt: time.Now(), FinishedAt: time.Now()}
						if err := db.Finish(b.Context(), a, delivery.Done, time.Time{}); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
	empty, err := sqlite.Open(b.Context(), sqlite.Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer empty.Close()
	b.Run("live/alone", cycle(empty))
	b.Run("live/beside", cycle(db))
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			db, err := sqlite.Open(b.Context(), sqlite.Config{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			if _, _, err := db.NextDue(b.Context(), "forward:down"); err != nil {
				b.Fatal(err)
			}
			db.Close()
		}
	})
}
