package pluginhost

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestLogRingKeepsDigits(t *testing.T) {
	ring := newLogRing()
	log := slog.New(ringHandler{Handler: slog.DiscardHandler, ring: ring}).With("plugin", "x")
	log.Info("m", "id", json.Number("1234567890123456789"))
	lines, _, _ := ring.last(2)
	if len(lines) != 1 || !strings.Contains(string(lines[0]), `"id":1234567890123456789`) {
		t.Errorf("the ring has %s", lines)
	}
}
