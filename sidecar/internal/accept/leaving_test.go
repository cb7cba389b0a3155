package accept_test

import (
	"net/http"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
	"github.com/hookswitch/hookswitch/sidecar/internal/accept"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// While a sidecar still accepts, but is about to stop, no connection outlives its
// answer: the next webhook goes where the next connection leads.
func TestBeforeTheEndConnectionsAreNotKept(t *testing.T) {
	var health *telemetry.Health
	f := startWith(t, func(cfg *accept.Config) { health = cfg.Health })
	for _, ready := range []bool{true, false} {
		health.SetReady(ready)
		res, _ := f.send(t, "/webhooks", webhooktest.Sample("message.received"))
		if res.StatusCode != http.StatusOK || res.Close == ready {
			t.Errorf("ready %v: answered %d, connection closed %v", ready, res.StatusCode, res.Close)
		}
	}
}
