package sidecar

import (
	"net/http"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Observer is told what happens, for a display such as that of "hookswitch
// dev". Nil functions are skipped. They are called from many goroutines, in
// the path of the work, and must be quick.
type Observer struct {
	Accepted func(Accepted)
	Rejected func(Rejected)
	Attempt  func(Attempt)
}

// Accepted is a webhook that was verified, stored and acknowledged.
type Accepted struct {
	At        time.Time
	ID, Type  string
	KeyLabel  string
	Skew      time.Duration // time of receipt minus the signer's timestamp
	Duplicate bool
	Targets   []string // empty if nobody wants it
}

// Rejected is a request that was not let in.
type Rejected struct {
	At     time.Time
	Status int
	Reason string // word, such as "bad_signature"
	Detail string
}

// Attempt is one finished attempt at a target.
type Attempt struct {
	At       time.Time
	ID, Type string // of the event
	Target   string
	N        int
	Took     time.Duration
	Status   int    // HTTP status, 0 if there was no answer
	Error    string // empty if delivered
	State    string // of the job now: done, pending or dead
	NextAt   time.Time
}

func (o Observer) accept(e *store.Event, a store.Accepted, targets []string) {
	if o.Accepted != nil {
		o.Accepted(Accepted{At: e.ReceivedAt, ID: e.ID, Type: e.Type, KeyLabel: e.KeyLabel,
			Skew: e.ReceivedAt.Sub(e.SignedAt), Duplicate: a.Duplicate, Targets: targets})
	}
}

func (o Observer) reject(_ *http.Request, err *webhook.Error) {
	if o.Rejected != nil {
		o.Rejected(Rejected{At: time.Now(), Status: err.Status, Reason: err.Reason, Detail: err.Error()})
	}
}

func (o Observer) attempt(e *store.Event, a store.Attempt, state store.State, next time.Time) {
	if o.Attempt != nil {
		o.Attempt(Attempt{At: a.FinishedAt, ID: e.ID, Type: e.Type, Target: a.Target, N: a.N,
			Took: a.FinishedAt.Sub(a.StartedAt), Status: a.ResponseStatus, Error: a.Error,
			State: string(state), NextAt: next})
	}
}
