//go:build !linux && !darwin

package clock

import "time"

// boot returns nothing: there is no such clock, or no portable way to it.
func boot() time.Duration { return 0 }
