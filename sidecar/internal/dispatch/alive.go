package dispatch

import (
	"fmt"
	"time"
)

// stuckAfter is how long a loop may take for one round. It sleeps for a minute
// at most; the rest is for a slow store, which a restart does not fix.
const stuckAfter = 5 * time.Minute

// Alive returns an error if a loop stands still, which only a restart ends.
func (d *Dispatcher) Alive() error {
	now := time.Since(d.began)
	for _, l := range d.all() {
		beat := time.Duration(l.beat.Load())
		if beat > 0 && now-beat > stuckAfter {
			return fmt.Errorf("dispatch: the loop of %s has stood still for %v", l.name, (now - beat).Round(time.Second))
		}
	}
	return nil
}
