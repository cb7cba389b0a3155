package store

import (
	"crypto/rand"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// probeTarget is the target in the job of a made-up probe. No target has that name.
const probeTarget = "probe"

// NewProbe returns a typical event for [Store.Probe], and its targets.
func NewProbe() (*delivery.Event, []string) {
	now, id := time.Now(), rand.Text()
	return &delivery.Event{
		Key: id, ID: id, Type: "hookswitch.probe", OccurredAt: now.UTC().Format(time.RFC3339Nano), ReceivedAt: now,
		Method: "POST", Path: "/", Header: [][2]string{{"Content-Type", "application/json"}},
		Body: make([]byte, 1024), PayloadLen: -1, SignedAt: now, Entity: probeTarget + ":" + id,
	}, []string{probeTarget}
}
