package simulation

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/faultvfs"
	"github.com/hookswitch/hookswitch/sidecar/internal/clock"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/retention"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// world is all that the process under test meets, and outlives it.
type world struct {
	seed    uint64
	random  *rand.Rand // only the driver uses it
	profile profile
	vfs     *faultvfs.VFS
	ops     int64 // of vfs, before this process
	dir     string
	began   time.Time

	offset atomic.Int64  // of the wall clock, in nanoseconds; never negative
	faults atomic.Uint64 // of a million operations on the disk so many fail
	full   atomic.Bool   // the disk is

	history history
	model   *model
	apps    []*app
	answers atomic.Int64 // of targets

	mu    sync.Mutex
	calls map[string]uint64 // guarded by mu: how often a delay was asked for

	seen    map[string]*store.Delivery // as audits have read them since the last power cut
	process *process                   // nil between two
	lives   int
	events  int // that were offered as new
}

// profile is what may happen in a history: not all of it in each, since one kind of
// trouble hides another.
type profile struct {
	schedule    delivery.Schedule
	concurrency int
	limits      retention.Limits
	entities    int     // of so many; 0: no order
	duplicates  float64 // share of accepts
	faults      bool
	full        bool
	crashes     bool // kills and power cuts
	clock       bool
	operators   bool // replays, discards
	breaks      bool // targets that die of an event
	sync        time.Duration
}

func newProfile(r *rand.Rand) profile {
	chance := func(p float64) bool { return r.Float64() < p }
	p := profile{
		schedule:    []delivery.Schedule{{time.Second, 5 * time.Second, 20 * time.Second}, {100 * time.Millisecond, time.Second}, {3 * time.Second}, {}}[r.IntN(4)],
		concurrency: []int{1, 3, 16}[r.IntN(3)],
		duplicates:  0.1 + 0.4*r.Float64(),
		faults:      chance(0.5),
		full:        chance(0.3),
		crashes:     chance(0.8),
		clock:       chance(0.4),
		operators:   chance(0.7),
		breaks:      chance(0.3),
		sync:        []time.Duration{50 * time.Microsecond, 2 * time.Millisecond, 20 * time.Millisecond}[r.IntN(3)],
	}
	if chance(0.7) {
		p.entities = 1 + r.IntN(6)
	}
	if chance(0.6) {
		p.limits = retention.Limits{Keep: 5 * time.Minute, KeepDead: 20 * time.Minute}
	}
	if chance(0.4) {
		p.limits.MaxBytes = int64(150+r.IntN(400)) << 10
	}
	return p
}

// newWorld makes a world in an empty directory. It is called within the bubble; vfs
// was made outside.
func newWorld(seed uint64, vfs *faultvfs.VFS, dir string) *world {
	w := &world{
		seed: seed, random: rand.New(rand.NewPCG(seed, 1)), vfs: vfs, dir: dir, began: time.Now(),
		calls: make(map[string]uint64), seen: make(map[string]*store.Delivery), ops: vfs.Ops(),
	}
	w.history.began, w.history.dir = w.began, dir
	w.profile = newProfile(w.random)
	w.model = newModel(w)
	for _, name := range []string{"plugin:a", "plugin:b", "forward:c"} {
		w.apps = append(w.apps, &app{w: w, name: name, changed: make(chan struct{})})
	}
	vfs.Record()
	vfs.Slow(w.profile.sync)
	vfs.Decide = w.decide
	w.history.add("%+v", w.profile)
	return w
}

// now is the wall clock, which the driver sets.
func (w *world) now() time.Time { return time.Now().Round(0).Add(time.Duration(w.offset.Load())) }

// reading is for clock.New. The offset is never negative: the store also reads the
// bubble's clock, which cannot be set back.
func (w *world) reading() clock.Reading {
	awake := time.Since(w.began)
	return clock.Reading{Wall: w.now(), Awake: awake, Boot: awake}
}

// hash is a number that follows from the seed and a name.
func (w *world) hash(name string, n uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", w.seed, name, n)
	return rand.NewPCG(h.Sum64(), w.seed).Uint64()
}

// next is hash of a name that is used again and again.
func (w *world) next(name string) uint64 {
	name = fmt.Sprint(w.lives, " ", name) // so that a ghost does not count
	w.mu.Lock()
	w.calls[name]++
	n := w.calls[name]
	w.mu.Unlock()
	return w.hash(name, n)
}

// delay waits up to a millisecond, to an instant that nobody else has.
func (w *world) delay(name string) { time.Sleep(time.Duration(1 + w.next(name)%999_983)) }

// decide is the fate of an operation on the disk.
func (w *world) decide(n int64, kind faultvfs.Kind, _ string) faultvfs.Fault {
	if w.full.Load() && kind == faultvfs.Write {
		return faultvfs.Full
	}
	rate := w.faults.Load()
	if rate == 0 {
		return faultvfs.None
	}
	h := w.hash(fmt.Sprint("disk ", w.lives), uint64(n-w.ops))
	if h%1_000_000 >= rate {
		return faultvfs.None
	}
	return []faultvfs.Fault{faultvfs.Lost, faultvfs.Landed, faultvfs.Half}[h>>32%3]
}

// memoryDir is where a file system in memory is, if anywhere.
func memoryDir() string {
	if fi, err := os.Stat("/dev/shm"); err == nil && fi.IsDir() {
		return "/dev/shm"
	}
	return ""
}
