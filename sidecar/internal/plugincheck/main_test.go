//go:build unix

package plugincheck

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hookswitch/hookswitch/internal/testkit/plugins"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// The test binary is also the plugins, so that the processes in these tests are
// real.
func TestMain(m *testing.M) {
	if plugins.Main(nil) {
		return
	}
	// A program with the race detector sleeps for a second before it exits,
	// unless it is told not to.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	goleak.VerifyTestMain(m)
}

// soon bounds every wait of a test. It is long because nothing but a failure
// waits for it.
const soon = 10 * time.Second

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// event returns an event that tells a plugin what to do.
func event(do string) *delivery.Event {
	now := time.Now()
	return &delivery.Event{
		ID:         "event-1",
		Type:       "test." + do,
		DeliveryID: "delivery-1",
		ReceivedAt: now,
		Header:     [][2]string{{"Content-Type", "application/json"}, {"X-Bytes", "\xff"}},
		Body:       fmt.Appendf(nil, `{"data":{"event_type":"test.%s","id":"event-1","payload":{}}}`, do),
		SignedAt:   now.Add(-1500 * time.Millisecond),
		KeyLabel:   "main",
	}
}
