package sidecar

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/hookswitch/hookswitch/sidecar/internal/store/sqlite"
)

// tooMuchDisk returns a warning if the store may become larger than its disk has
// room for. The oldest events are then removed before it is as large as that.
func (c *Config) tooMuchDisk() (list []string) {
	if _, database := c.database(); database || c.MaxDisk <= 0 {
		return nil
	}
	dir, err := c.storeDir()
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil // which is a problem, and said elsewhere
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil {
			most, known := sqlite.Capacity(dir, at)
			if known && most < int64(c.MaxDisk) {
				return []string{fmt.Sprintf("HOOKSWITCH_MAX_DISK is %d MiB, but the disk of %s has room for %d MiB of events: the oldest are removed then; lower it, or make room", int64(c.MaxDisk)>>20, dir, most>>20)}
			}
			return nil
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}
