package webhook

import (
	"encoding/json"
	"sync"
	"time"
)

// OrderGuard tells a handler that an event is older than one it has already
// been asked about for the same message or call. Telnyx promises no order: a
// late "message.sent" can follow "message.finalized", and must not overwrite
// the final status.
//
// The zero value is ready to use and safe for concurrent use. Its memory is
// bounded by Max.
type OrderGuard struct {
	// Max is about how many entities are remembered, the most recently
	// asked about. 0 means 65,536.
	Max int

	mu sync.Mutex
	// Two generations instead of a list by age: when the young one is full
	// it becomes the old one, and the old one is forgotten.
	young, old map[string]time.Time // guarded by mu
}

// InOrder reports whether e is at least as recent, by occurred_at, as every
// event of the same entity that was asked about before, and remembers it. An
// event that cannot be placed, because it names no entity or no time, is
// always in order. So is a retry of the newest event.
func (g *OrderGuard) InOrder(e *Event) bool {
	entity := e.Entity()
	if entity == "" || e.OccurredAt.IsZero() {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	newest, known := g.young[entity]
	if !known {
		newest = g.old[entity]
	}
	inOrder := !e.OccurredAt.Before(newest)
	if inOrder {
		newest = e.OccurredAt.Time
	}
	g.remember(entity, newest)
	return inOrder
}

func (g *OrderGuard) remember(entity string, newest time.Time) {
	most := g.Max
	if most <= 0 {
		most = 1 << 16
	}
	if _, known := g.young[entity]; !known && len(g.young) >= max(most/2, 1) {
		g.old, g.young = g.young, nil
	}
	if g.young == nil {
		g.young = make(map[string]time.Time)
	}
	g.young[entity] = newest
}

// Entity returns what the event is about, so that events about the same thing
// can be put in order: "message:" and the message's id, "call:" and the id of
// the leg, "conference:", "fax:" or "verification:" and theirs. It is empty if
// the payload names none of these.
func (e *Event) Entity() string {
	if len(e.Payload) == 0 || e.Shape == ShapeRaw {
		return ""
	}
	var p struct {
		RecordType   string `json:"record_type"`
		ID           string `json:"id"`
		CallLegID    string `json:"call_leg_id"`
		ConferenceID string `json:"conference_id"`
		FaxID        string `json:"fax_id"`
	}
	_ = json.Unmarshal(e.Payload, &p) // what does not fit is left empty
	switch {
	case p.RecordType == "message" && p.ID != "":
		return "message:" + p.ID
	case p.CallLegID != "":
		return "call:" + p.CallLegID
	case p.ConferenceID != "":
		return "conference:" + p.ConferenceID
	case p.FaxID != "":
		return "fax:" + p.FaxID
	case p.RecordType == "verification" && p.ID != "":
		return "verification:" + p.ID
	}
	return ""
}
