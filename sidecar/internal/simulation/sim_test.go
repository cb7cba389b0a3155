package simulation

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
)

// steps is how many the driver takes in a history.
const steps = 600

// TestMain leaves one processor: what happens at the same instant then happens in an
// order that rarely changes.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(1)
	os.Exit(m.Run())
}

// layer is reused: SQLite keeps one for the life of the program.
var layer = sync.OnceValue(faultvfs.New)

// result is that of a history.
type result struct {
	verdict, digest string
	history         *history
	steps           int // of the driver, and answers of targets
}

// simulate runs the history of a seed in a bubble.
func simulate(t *testing.T, seed uint64, steps int) (got result) {
	t.Helper()
	vfs := layer() // made outside of the bubble
	dir, err := os.MkdirTemp(memoryDir(), "hookswitch-simulation-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	replay := fmt.Sprintf("replay it with HOOKSWITCH_SIM_SEED=%d make simulate", seed)
	hangs := time.AfterFunc(3*time.Minute, func() { panic(fmt.Sprintf("seed %d hangs: %s", seed, replay)) })
	defer hangs.Stop()
	defer func() {
		if p := recover(); p != nil {
			panic(fmt.Sprintf("seed %d: %v: %s", seed, p, replay))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(seed, vfs, dir)
		if err := w.run(steps); err != nil {
			w.model.fail("%v", err)
		}
		got = result{w.model.verdict(), w.history.digest(), &w.history, steps + int(w.answers.Load())}
	})
	if got.verdict != "" {
		t.Errorf("seed %d: %s: %s\n%s", seed, got.verdict, replay, got.history.last(60))
	}
	return got
}

// TestSimulation runs histories: a few, or with HOOKSWITCH_SIM=DURATION as many as
// fit; with HOOKSWITCH_SIM_SEED=N the one of that seed, which it prints.
func TestSimulation(t *testing.T) {
	if text := os.Getenv("HOOKSWITCH_SIM_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		got := simulate(t, seed, steps)
		fmt.Println(got.history.last(1 << 30))
		t.Logf("seed %d: digest %s", seed, got.digest)
		return
	}
	if text := os.Getenv("HOOKSWITCH_SIM"); text != "" {
		long(t, text)
		return
	}
	seeds := uint64(5)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		simulate(t, seed, 150)
	}
}

// long runs histories of new seeds for a time, and ends at the first that fails.
func long(t *testing.T, text string) {
	most, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	began, first := time.Now(), uint64(time.Now().UnixNano())
	seeds, all := uint64(0), 0
	for ; time.Since(began) < most && !t.Failed(); seeds++ {
		all += simulate(t, first+seeds, steps).steps
	}
	took := time.Since(began)
	t.Logf("%d histories, %d steps in %v: %.0f a second", seeds, all, took.Round(time.Second), float64(all)/took.Seconds())
}

// TestSameSeedSameHistory: what happens follows from the seed alone.
func TestSameSeedSameHistory(t *testing.T) {
	for seed := range uint64(2) {
		a, b := simulate(t, seed, 100), simulate(t, seed, 100)
		if a.digest != b.digest {
			t.Errorf("seed %d: %s and then %s", seed, a.digest, b.digest)
		}
	}
}
