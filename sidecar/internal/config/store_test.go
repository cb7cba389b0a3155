package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestMaxDiskBeyondTheDisk: a limit that the disk has no room for is warned of,
// also before the data directory is there; others are not, nor is none.
func TestMaxDiskBeyondTheDisk(t *testing.T) {
	for _, tt := range []struct {
		limit string
		warns bool
	}{{"100000TiB", true}, {"1MiB", false}, {"0", false}} {
		c, err := From([]string{"TELNYX_PUBLIC_KEY=" + testKey, "HOOKSWITCH_MAX_DISK=" + tt.limit,
			"HOOKSWITCH_STORE=file:" + filepath.Join(t.TempDir(), "not", "there")})
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Contains(strings.Join(c.Advice(), "\n"), "HOOKSWITCH_MAX_DISK is")
		if said != tt.warns {
			t.Errorf("%s: warned %t, want %t: %q", tt.limit, said, tt.warns, c.Advice())
		}
	}
}
