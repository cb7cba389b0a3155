package pluginhost

import (
	"fmt"
	"testing"
)

func TestSuspects(t *testing.T) {
	var s suspects
	for i := range suspectsMax + 10 {
		if got := s.crashed(fmt.Sprint(i), 1, false); got != 1 {
			t.Fatalf("event %d: %v", i, got)
		}
	}
	if len(s.events) > suspectsMax {
		t.Errorf("%d events are remembered", len(s.events))
	}
	s.crashed("mine", 1, false)
	s.crashed("mine", 2, false)
	if got := s.crashed("mine", 3, false); got != 3 {
		t.Errorf("the third crash in a row: %v", got)
	}
	if got := s.crashed("mine", 0, false); got != 1 {
		t.Errorf("an event that began anew: %v", got)
	}
}
