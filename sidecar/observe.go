package sidecar

import (
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
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

// withKey returns a ring with the keys of ring and one more.
func withKey(ring *webhook.KeyRing, label string, public crypto.PublicKey) (*webhook.KeyRing, error) {
	keys := append(ring.Keys(), webhook.Key{Label: label, Public: public.(ed25519.PublicKey)})
	return webhook.NewKeyRing(keys...)
}

// runDir returns where the sockets of plugins are made. The path of a socket
// is limited to about a hundred bytes, so a data directory with a longer path
// gets a place under the system's directory for temporary files instead,
// always the same one.
func runDir(dir string) string {
	abs, err := filepath.Abs(dir)
	if err == nil && len(abs) <= 60 {
		return filepath.Join(abs, "run")
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(os.TempDir(), fmt.Sprintf("hookswitch-%d-%s", os.Getuid(), hex.EncodeToString(sum[:6])))
}
