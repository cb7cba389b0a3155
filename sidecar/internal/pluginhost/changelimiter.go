package pluginhost

import "time"

// changeLimiter slows down the changes of one plugin. A few in a row pass, as when somebody
// is working on it; after that one in each pause. Without it a plugin that rewrites
// its own file would be started again and again, each time from another copy.
type changeLimiter struct {
	changes float64 // that count by now; each counts for a pause
	at      time.Time
	told    bool // that changes wait
}

const freeChanges = 5 // changes in a row that pass

// wait returns how long the next change has to wait at a time, and takes note
// of it if that is 0.
func (b *changeLimiter) wait(now time.Time, pause time.Duration) time.Duration {
	if !b.at.IsZero() {
		b.changes = max(0, b.changes-now.Sub(b.at).Seconds()/pause.Seconds())
	}
	b.at = now
	if over := b.changes - (freeChanges - 1); over > 1e-6 { // more than a float's error
		return max(time.Millisecond, time.Duration(over*float64(pause)))
	}
	b.changes++
	return 0
}
