package webhook

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Claim says whether an event may be handled now.
type Claim int

const (
	Claimed  Claim = iota // it is yours: call Done or Release
	InFlight              // it is being handled, and that may still fail
	Seen                  // it has been handled
)

// Dedupe remembers which events were handled. Telnyx delivers an event more
// than once when an answer is late, and to the failover URL as well.
//
// The three steps exist so that a failed first try is not taken for success:
// the claimer of an event says afterwards whether it is done. Implementations
// are safe for concurrent use, and of many concurrent claims of one key give
// [Claimed] to exactly one. Keys come from [Event.Key].
type Dedupe interface {
	// Claim asks for the right to handle the event.
	Claim(ctx context.Context, key string) (Claim, error)

	// Done says that a claimed event was handled: from now on it is Seen.
	Done(ctx context.Context, key string) error

	// Release says that it was not handled: the next Claim may try again.
	Release(ctx context.Context, key string) error
}

// errInFlight is the result of a copy of an event while the first is handled.
// Not success, since the first may fail; a retry finds out.
var errInFlight = RetryAfter(errors.New("webhook: another delivery of this event is being handled"), time.Second)

// deduped runs h unless the event was handled before. If the memory fails the
// event is handled anyway: twice is better than never.
func (m *Mux) deduped(ctx context.Context, e *Event, h HandlerFunc) error {
	d, key := m.Dedupe, e.Key()
	var claim Claim
	err := asked(func() (err error) {
		claim, err = d.Claim(ctx, key)
		return err
	})
	switch {
	case err != nil:
		m.logDedupe(ctx, e, "an event is handled without looking for duplicates", err)
		return h(ctx, e)
	case claim == Seen:
		return nil
	case claim == InFlight:
		return errInFlight
	}
	settled := false
	settle := func(f func(context.Context, string) error) {
		settled = true
		// The request may be over by now; the memory is not.
		if err := asked(func() error { return f(context.WithoutCancel(ctx), key) }); err != nil {
			m.logDedupe(ctx, e, "what became of an event could not be remembered, for its duplicates", err)
		}
	}
	defer func() {
		if !settled { // a panic
			settle(d.Release)
		}
	}()
	err = h(ctx, e)
	if outcome, _ := OutcomeOf(err); outcome == Retry {
		settle(d.Release)
	} else {
		settle(d.Done)
	}
	return err
}

// dedupePanic is the error that a panic of a Dedupe becomes: the handler did not panic,
// and what it did stands.
type dedupePanic struct {
	value any
	stack []byte
}

func (e *dedupePanic) Error() string { return fmt.Sprintf("the Dedupe panicked: %v", e.value) }

// asked calls a method of the Dedupe.
func asked(call func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &dedupePanic{v, debug.Stack()}
		}
	}()
	return call()
}

// Defaults of a [MemoryDedupe].
const (
	DefaultDedupeTTL = 24 * time.Hour
	DefaultDedupeMax = 1 << 20
)

// MemoryDedupe is a [Dedupe] in the memory of this process. The zero value is
// ready to use. Its memory is bounded: when it is full the oldest entries are
// forgotten early. It holds no pointers, so that a million entries cost the
// garbage collector nothing; an entry takes 24 to 48 bytes.
type MemoryDedupe struct {
	// TTL is how long an event stays Seen. 0 means [DefaultDedupeTTL].
	// Telnyx retries for minutes.
	TTL time.Duration

	// Max is about how many events are remembered, but not below 4096.
	// 0 means [DefaultDedupeMax].
	Max int

	once   sync.Once
	seeds  [2]maphash.Seed
	start  time.Time
	shards [256]dedupeShard
}

// dedupeShard is a hash table with linear probing. Keys are known by 128 bits
// of a hash with a random seed: nobody can make two collide on purpose, and by
// chance none do.
type dedupeShard struct {
	mu      sync.Mutex
	entries []dedupeEntry // guarded by mu
	used    int           // guarded by mu: entries that are not free, graves included
}

type dedupeEntry struct {
	hash     [2]uint64
	deadline uint32 // seconds after start
	state    uint32
}

const (
	entryFree = iota
	entryClaimed
	entryDone
	entryGrave // released; probing goes on behind it
)

func (m *MemoryDedupe) init() {
	m.seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}
	m.start = time.Now()
}

func (m *MemoryDedupe) shard(key string) (s *dedupeShard, hash [2]uint64) {
	m.once.Do(m.init)
	hash = [2]uint64{maphash.String(m.seeds[0], key), maphash.String(m.seeds[1], key)}
	return &m.shards[hash[1]&0xff], hash
}

func (m *MemoryDedupe) seconds() uint32 { return uint32(time.Since(m.start) / time.Second) }

// Claim implements [Dedupe]. It never fails.
func (m *MemoryDedupe) Claim(_ context.Context, key string) (Claim, error) {
	s, hash := m.shard(key)
	now := m.seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used >= len(s.entries)*4/5 {
		s.rebuild(now, m.perShard())
	}
	e := s.find(hash)
	switch {
	case e.state == entryClaimed:
		return InFlight, nil
	case e.state == entryDone && e.deadline >= now:
		return Seen, nil
	case e.state == entryFree:
		s.used++
	}
	*e = dedupeEntry{hash: hash, state: entryClaimed}
	return Claimed, nil
}

// Done implements [Dedupe]. It never fails.
func (m *MemoryDedupe) Done(_ context.Context, key string) error {
	ttl := m.TTL
	if ttl <= 0 {
		ttl = DefaultDedupeTTL
	}
	s, hash := m.shard(key)
	deadline := m.seconds() + uint32(min(ttl/time.Second, 1<<31)) + 1 // not before ttl is over
	s.settle(hash, dedupeEntry{hash: hash, state: entryDone, deadline: deadline})
	return nil
}

// Release implements [Dedupe]. It never fails.
func (m *MemoryDedupe) Release(_ context.Context, key string) error {
	s, hash := m.shard(key)
	s.settle(hash, dedupeEntry{hash: hash, state: entryGrave})
	return nil
}

func (s *dedupeShard) settle(hash [2]uint64, as dedupeEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.entries) == 0 {
		return
	}
	if e := s.find(hash); e.state == entryClaimed {
		*e = as
	}
}

// find returns the entry of a hash, or the free one where it would stand. The
// table is never full.
func (s *dedupeShard) find(hash [2]uint64) *dedupeEntry {
	n := uint64(len(s.entries))
	for i, _ := bits.Mul64(hash[0], n); ; i++ {
		if i >= n {
			i = 0
		}
		e := &s.entries[i]
		if e.state == entryFree || e.hash == hash {
			return e
		}
	}
}

func (m *MemoryDedupe) perShard() int {
	most := m.Max
	if most <= 0 {
		most = DefaultDedupeMax
	}
	// Events do not spread quite evenly: with an eighth more than its share
	// no shard forgets early what fits on the whole.
	return max(most/len(m.shards)*9/8, 16)
}

// rebuild makes room for one more: it drops what is over and, when more than
// limit would remain, an eighth of the rest, the oldest first.
func (s *dedupeShard) rebuild(now uint32, limit int) {
	old := s.entries
	var deadlines []uint32
	kept := 0
	live := func(e *dedupeEntry) bool {
		return e.state == entryClaimed || e.state == entryDone && e.deadline >= now
	}
	for i := range old {
		if live(&old[i]) {
			kept++
			if old[i].state == entryDone {
				deadlines = append(deadlines, old[i].deadline)
			}
		}
	}
	drop := 0
	if kept >= limit && len(deadlines) > 0 {
		slices.Sort(deadlines)
		drop = min(kept-limit+limit/8+1, len(deadlines))
		kept -= drop
	}
	// A quarter of room to grow into; more often would copy too much.
	s.entries = make([]dedupeEntry, max((kept+kept/4+8)*5/4, 16))
	s.used = 0
	for i := range old {
		e := old[i]
		if !live(&e) {
			continue
		}
		if e.state == entryDone && drop > 0 && e.deadline <= deadlines[drop-1] {
			continue
		}
		*s.find(e.hash) = e
		s.used++
	}
}
