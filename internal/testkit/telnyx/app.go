package telnyx

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// App takes what the sidecar forwards, and counts. The zero value has nothing. It is
// safe for concurrent use.
type App struct {
	mu  sync.Mutex
	got map[string][]Digest // guarded by mu: by the id of the event
}

// Digest is the SHA-256 of a body.
type Digest [sha256.Size]byte

// ServeHTTP takes an event.
func (a *App) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sidecar hears of it: the answer is broken off as well
	}
	id := webhook.Decode("application/json", body).ID
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.got == nil {
		a.got = make(map[string][]Digest)
	}
	a.got[id] = append(a.got[id], sha256.Sum256(body))
}

// Has returns an error unless each of these events has come, with these bytes.
func (a *App) Has(want map[string]Digest) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, sum := range want {
		if got := a.got[id]; len(got) == 0 {
			return fmt.Errorf("event %s has not come, of %d", id, len(want))
		} else if got[0] != sum {
			return fmt.Errorf("event %s has come with other bytes", id)
		}
	}
	return nil
}

// HasAll returns an error unless each of these events has come.
func (a *App) HasAll(ids []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	missing := 0
	for _, id := range ids {
		if len(a.got[id]) == 0 {
			missing++
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d of %d events have not come", missing, len(ids))
	}
	return nil
}

// Repeated returns the events that have come more than once.
func (a *App) Repeated() (ids []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, got := range a.got {
		if len(got) > 1 {
			ids = append(ids, id)
		}
	}
	return ids
}
