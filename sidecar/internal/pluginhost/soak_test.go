//go:build unix

package pluginhost

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// persist delivers an event as the dispatcher does: again after what is lost.
func persist(ctx context.Context, p *Plugin, work delivery.Task) (last delivery.Attempt, lost int, err error) {
	for {
		last, err = p.Deliver(ctx, work)
		if err != nil || last.Outcome != delivery.OutcomeLost {
			return last, lost, err
		}
		lost++
		work.Job.Attempts++
		timer := time.NewTimer(last.RetryAfter)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return last, lost, ctx.Err()
		}
	}
}

// The plugin is killed 15 times while it has 64 events: all are delivered, and
// the next acknowledgement is soon there.
func TestKilledAgainAndAgain(t *testing.T) {
	s := newSetup(t, nil, "good")
	s.timings.settled = 0 // each life counts as a long one
	s.start(t)
	p := s.plugin(t, "good")
	ctx, cancel := context.WithTimeout(t.Context(), 6*soon)
	defer cancel()
	var waits []time.Duration
	lost, job := 0, int64(0)
	for range 15 {
		pid := awaitStatus(t, p, "a process", func(s Status) bool { return s.State == StateReady }).PID
		acked := make(chan time.Time, 64)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 64 {
			job++
			work := task(job, "slow") // 300 ms
			wg.Go(func() {
				a, n, err := persist(ctx, p, work)
				if err != nil || a.Outcome != delivery.OutcomeDone {
					t.Errorf("event %d: %+v, %v", work.Job.ID, a, err)
				}
				mu.Lock()
				lost += n
				mu.Unlock()
				acked <- a.StartedAt
			})
		}
		awaitStatus(t, p, "64 in flight", func(s Status) bool { return s.InFlight == 64 })
		killed := time.Now()
		check(t, syscall.Kill(pid, syscall.SIGKILL))
		probe := task(-job, "ack")
		if a, _, err := persist(ctx, p, probe); err != nil || a.Outcome != delivery.OutcomeDone {
			t.Fatalf("the next event: %+v, %v", a, err)
		}
		waits = append(waits, time.Since(killed))
		wg.Wait()
	}
	longest := time.Duration(0)
	for _, w := range waits {
		longest = max(longest, w)
	}
	t.Logf("15 kills, %d redelivered, next acknowledgement after %v at most", lost, longest.Round(time.Millisecond))
	if lost < 15 {
		t.Errorf("%d events were redelivered: nothing was in flight", lost)
	}
	if longest > 5*time.Second { // under 500 ms where the machine is its own
		t.Errorf("the next acknowledgement came after %v", longest)
	}
}

// One event kills whatever process it meets. Only that one is given up; those
// that are with it are delivered.
func TestPoisonAmongOthers(t *testing.T) {
	s := newSetup(t, nil, "good")
	s.timings.backoffBase = time.Millisecond
	s.start(t)
	p := s.plugin(t, "good")
	ctx, cancel := context.WithTimeout(t.Context(), 3*soon)
	defer cancel()
	var wg sync.WaitGroup
	for i := range int64(40) {
		do, want := "brief", delivery.OutcomeDone
		if i == 20 {
			do, want = "exit", delivery.OutcomeFailed
		}
		wg.Go(func() {
			a, lost, err := persist(ctx, p, task(i, do))
			if err != nil || a.Outcome != want || lost >= suspectDead {
				t.Errorf("event %d (%s): %+v, lost %d times, %v", i, do, a, lost, err)
			}
		})
	}
	wg.Wait()
	// The event is given up before its process is counted as ended.
	awaitStatus(t, p, "a third restart", func(s Status) bool { return s.Restarts == suspectDead && s.Suspects == 0 })
}

// Restarts leave nothing behind: no goroutine, no file, no memory.
// HOOKSWITCH_PLUGIN_SOAK is how many there are.
func TestRestartsLeaveNothing(t *testing.T) {
	restarts := 50
	if text := os.Getenv("HOOKSWITCH_PLUGIN_SOAK"); text != "" {
		var err error
		restarts, err = strconv.Atoi(text)
		check(t, err)
	}
	s := newSetup(t, nil, "good")
	s.timings.settled, s.timings.backoffBase = 0, time.Millisecond
	s.timings.crashMax = 10 * restarts // none is one too many
	s.start(t)
	p := s.plugin(t, "good")
	cycle := func(n int) {
		st := awaitStatus(t, p, "a process", func(s Status) bool { return s.State == StateReady && s.Restarts == n })
		deliver(t, p, task(int64(n)+1, "ack"))
		if n%2 == 0 {
			check(t, syscall.Kill(st.PID, syscall.SIGKILL))
		} else if err := s.Reload(t.Context(), "good"); err != nil && !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		} else {
			check(t, syscall.Kill(p.Status().PID, syscall.SIGKILL))
		}
	}
	measure := func() (goroutines, files int, heap uint64) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), len(ls(t, "/proc/self/fd")), m.HeapAlloc
	}
	if runtime.GOOS != "linux" {
		t.Skip("counts open files by /proc, which is on Linux only")
	}
	for n := range 5 { // what is made once is made
		cycle(n)
	}
	awaitStatus(t, p, "a process", func(s Status) bool { return s.State == StateReady && s.Restarts == 5 })
	goroutines, files, heap := measure()
	for n := 5; n < restarts; n++ {
		cycle(n)
	}
	awaitStatus(t, p, "a process", func(s Status) bool { return s.State == StateReady && s.Restarts == restarts })
	deadline := time.Now().Add(soon)
	for {
		g, f, h := measure()
		if g <= goroutines+5 && f <= files+3 && h < heap+4<<20 {
			t.Logf("after %d restarts: goroutines %d → %d, files %d → %d, heap %d → %d KiB", restarts, goroutines, g, files, f, heap>>10, h>>10)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %d restarts: goroutines %d → %d, files %d → %d, heap %d → %d", restarts, goroutines, g, files, f, heap, h)
		}
		time.Sleep(20 * time.Millisecond) // what has just ended is being put away
	}
}
