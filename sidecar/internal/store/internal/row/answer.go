package row

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Rows are the rows of an answer, from either driver.
type Rows interface {
	Next() bool
	Err() error
}

// Collect reads all rows. The caller closes them.
func Collect[R Rows, T any](rows R, scan func(R) (T, error)) ([]T, error) {
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, rows.Err()
}

// States returns the states from which a move is possible, for SQL.
func States(m delivery.Move) (names []string) {
	for _, s := range delivery.From(m) {
		names = append(names, string(s))
	}
	return names
}

// State returns the state of the jobs that have a status.
func State(s store.Status) delivery.State {
	if s == store.StatusRetrying {
		return delivery.Pending
	}
	return delivery.State(s)
}

// Deliveries assembles events, their jobs and attempts.
type Deliveries struct {
	place map[int64]int // by Seq
	list  []store.Delivery
}

// NewDeliveries returns Deliveries in the order of seqs.
func NewDeliveries(seqs []int64) *Deliveries {
	d := &Deliveries{place: make(map[int64]int, len(seqs)), list: make([]store.Delivery, len(seqs))}
	for i, seq := range seqs {
		d.place[seq] = i
	}
	return d
}

// Events adds events.
func (d *Deliveries) Events(events []*delivery.Event) {
	for _, e := range events {
		d.list[d.place[e.Seq]].Event = e
	}
}

// Jobs adds jobs, in the order of each event's.
func (d *Deliveries) Jobs(jobs []delivery.Job) {
	for _, j := range jobs {
		of := &d.list[d.place[j.EventSeq]]
		of.Jobs = append(of.Jobs, j)
	}
}

// Attempt adds an attempt at a job of the event seq, the latest first.
func (d *Deliveries) Attempt(seq int64, a delivery.Attempt) {
	of := &d.list[d.place[seq]]
	of.Attempts = append(of.Attempts, a)
}

// Whole returns the deliveries without those that have no event: row-level
// security can hide an event but not its jobs, and so can a damaged file.
func (d *Deliveries) Whole() []store.Delivery {
	list := slices.DeleteFunc(d.list, func(d store.Delivery) bool { return d.Event == nil })
	for _, d := range list {
		for i := range d.Attempts {
			d.Attempts[i].DeliveryID = d.Event.DeliveryID
		}
	}
	return list
}

// DeadGroups counts dead letters that look alike.
type DeadGroups map[store.DeadGroup]*store.DeadGroup

// Add counts a dead letter that was received at a time. key is what it shares with
// others, except the first of its error codes.
func (groups DeadGroups) Add(key store.DeadGroup, codes string, received time.Time) {
	var list []int
	if codes != "" && json.Unmarshal([]byte(codes), &list) == nil && len(list) > 0 {
		key.ErrorCode = list[0]
	}
	g := groups[key]
	if g == nil {
		g = &store.DeadGroup{}
		*g = key
		groups[key] = g
	}
	widen(&g.Oldest, &g.Newest, received, g.Count == 0)
	g.Count++
}

// List returns the groups, the largest first, and equal ones in a fixed order.
func (groups DeadGroups) List() (list []store.DeadGroup) {
	for _, g := range groups {
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b store.DeadGroup) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Target, b.Target),
			cmp.Compare(a.EventType, b.EventType), cmp.Compare(a.Error, b.Error))
	})
	return list
}

// Count counts an event that a replay would select.
func Count(p *store.Preview, eventType string, received time.Time) {
	widen(&p.Oldest, &p.Newest, received, p.Events == 0)
	p.Events++
	p.Types[eventType]++
}

func widen(oldest, newest *time.Time, at time.Time, first bool) {
	if first || at.Before(*oldest) {
		*oldest = at
	}
	if first || at.After(*newest) {
		*newest = at
	}
}
