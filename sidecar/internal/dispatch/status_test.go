package dispatch

import "time"

// TargetStatus is what a target is doing, for the tests.
type TargetStatus struct {
	Name  string
	Slots int // attempts that may be in flight at this moment

	// While a target is unavailable it gets one attempt at a time.
	UnavailableSince time.Time // zero while it is available
	NextProbe        time.Time
}

// Status returns what each target is doing.
func (d *Dispatcher) Status() []TargetStatus {
	var list []TargetStatus
	for _, l := range d.all() {
		s := TargetStatus{Name: l.name}
		l.breaker.describe(&s)
		list = append(list, s)
	}
	return list
}

func (b *breaker) describe(s *TargetStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.UnavailableSince, s.Slots = b.since, b.slots
	switch {
	case b.since.IsZero():
	case b.limit > 0:
		s.Slots = min(b.limit, b.slots)
	default:
		s.Slots, s.NextProbe = 1, b.until
	}
}
