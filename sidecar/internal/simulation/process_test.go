package simulation

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/dispatch"
	"github.com/hookswitch/hookswitch/sidecar/internal/replay"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// process is one life of the sidecar.
type process struct {
	w    *world
	life int
	shim *shim

	dispatcher *dispatch.Dispatcher
	keeper     *retention.Keeper
	runner     *replay.Runner

	stop  context.CancelFunc
	parts sync.WaitGroup
	calls sync.WaitGroup // of the driver, such as accepts under way
}

// alive reports whether the process is: after a kill or a power cut it goes on, as a
// ghost, until its parts have ended, but nothing that it does reaches the world.
func (p *process) alive() bool { return p.w.vfs.Cut() == nil }

// start opens the store, has the model judge it, and starts the parts.
func (w *world) start() error {
	w.lives++
	w.ops = w.vfs.Ops()
	ctx, stop := context.WithCancel(context.Background())
	p := &process{w: w, life: w.lives, stop: stop}
	log := slog.New(handler{&w.history})
	db, err := w.open(ctx, log)
	if err != nil {
		stop()
		return err
	}
	p.shim = &shim{DB: db, p: p}
	w.process = p
	w.model.begin()
	w.audit("after the start", p)
	jitter := rand.New(rand.NewPCG(w.seed, uint64(p.life)))
	var mu sync.Mutex
	cfg := dispatch.Config{
		Store: p.shim, Schedule: w.profile.schedule, Concurrency: w.profile.concurrency, DrainTimeout: 2 * time.Second,
		Clock: clock.New(w.reading), Log: log,
		Jitter: func() float64 {
			mu.Lock()
			defer mu.Unlock()
			return jitter.Float64()
		},
	}
	for _, a := range w.apps {
		cfg.Targets = append(cfg.Targets, &target{app: a, p: p, drained: make(chan struct{})})
	}
	// New and the driver's own calls are not the subject of faults.
	if p.dispatcher, err = dispatch.New(cfg); err != nil {
		stop()
		return fmt.Errorf("dispatcher: %w", err)
	}
	p.keeper = retention.New(retention.Config{Store: p.shim, Limits: w.profile.limits, Every: 20 * time.Second, Clock: clock.New(w.reading), Log: log})
	p.runner = replay.New(replay.Config{Store: p.shim, Wake: p.wake, Log: log})
	p.parts.Go(func() {
		if err := p.dispatcher.Run(ctx); err != nil && p.alive() {
			w.history.line(false, "  "+err.Error())
		}
	})
	p.parts.Go(func() { _ = p.keeper.Run(ctx) })
	p.parts.Go(func() { _ = p.runner.Run(ctx) })
	w.delay("started")
	return nil
}

// open opens the store, on a disk that fails for a while if it is in the mood.
func (w *world) open(ctx context.Context, log *slog.Logger) (db *sqlite.DB, err error) {
	for try := range 4 {
		if try == 3 {
			w.calm()
		}
		if db, err = sqlite.Open(ctx, sqlite.Config{Dir: w.dir, VFS: w.vfs.Name(), Log: log}); err == nil {
			break
		}
		w.history.add("not opened: %s", brief(err))
		time.Sleep(time.Second)
	}
	w.calm()
	return db, err
}

// calm makes the disk a good one.
func (w *world) calm() {
	w.faults.Store(0)
	w.full.Store(false)
}

// end waits until nothing of the process runs.
func (p *process) end() error {
	p.stop()
	p.calls.Wait()
	p.parts.Wait()
	p.w.process = nil
	return p.shim.Close()
}

// restart ends the process as a signal does, and starts the next.
func (w *world) restart() error {
	w.history.add("restart")
	if err := w.process.end(); err != nil {
		w.history.add("not closed well: %s", brief(err))
	}
	return w.start()
}

// ghost is longer than a process that was killed goes on.
const ghost = 12 * time.Second

// kill ends the process before one of the next operations on its disk; with power
// set the machine too.
func (w *world) kill(power bool) error {
	word := "kill"
	if power {
		word = "power cut"
	}
	w.vfs.CutAt(w.vfs.Ops() + 1 + int64(w.random.IntN(40)))
	for range w.random.IntN(12) {
		_ = w.accept()
	}
	for range 20 {
		if !w.process.alive() {
			break
		}
		time.Sleep(time.Duration(w.random.IntN(50)) * time.Millisecond)
	}
	w.vfs.CutNow()
	w.history.add("%s", word)
	disk := w.vfs.Cut()
	w.calm()
	// How long a ghost takes is left to chance.
	next := time.Now().Add(ghost)
	_ = w.process.end()
	time.Sleep(time.Until(next))
	var err error
	if power {
		clear(w.seen)
		err = w.vfs.Reboot(disk, w.random)
	} else {
		err = w.vfs.Resume(disk)
	}
	if err != nil {
		return err
	}
	return w.start()
}
