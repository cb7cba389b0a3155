package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
)

// users are those that the process can tell apart. In a user namespace the
// files of all that it does not map seem to belong to one and the same user.
type users struct {
	mapped   [][2]int64 // ranges, from and up to; nil if all are
	overflow int        // whose the files of others seem to be
}

// everybody is what a process outside of any user namespace knows, and one on a
// system that has none.
var everybody = users{overflow: -1}

// readUsers reads them from the system.
func readUsers() users {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return everybody
	}
	overflow, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	n, convErr := strconv.Atoi(string(bytes.TrimSpace(overflow)))
	if err != nil || convErr != nil {
		n = 65534 // the kernel's default
	}
	return parseUsers(text, n)
}

// parseUsers reads the text of uid_map: lines of first user inside, first
// outside, and how many.
func parseUsers(text []byte, overflow int) users {
	u := users{mapped: [][2]int64{}, overflow: overflow}
	for line := range bytes.Lines(text) {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(string(line), &inside, &outside, &count); n != 3 {
			continue
		}
		if inside == 0 && count >= math.MaxUint32 {
			return everybody
		}
		u.mapped = append(u.mapped, [2]int64{inside, inside + count})
	}
	return u
}

// identify returns an error if it cannot be known who owns a file although it
// seems to be a user. mine reports whether the file is the process's own; it is
// asked if the user could be that of strangers too.
func (u users) identify(owner int, mine func() bool) error {
	if u.mapped == nil {
		return nil
	}
	if len(u.mapped) == 0 {
		return errors.New("no user is mapped in this user namespace (/proc/self/uid_map is empty)")
	}
	known := false
	for _, r := range u.mapped {
		known = known || int64(owner) >= r[0] && int64(owner) < r[1]
	}
	if known && (owner != u.overflow || mine()) {
		return nil
	}
	return errors.New("its owner is not mapped in this user namespace (/proc/self/uid_map)")
}

// strangers is the error about a file whose owner is not known. A chown from
// inside cannot give such a file to anybody.
func (t *Trust) strangers(path string, err error) error {
	hint := "or set HOOKSWITCH_PLUGIN_TRUST=signed, which trusts programs wherever they are"
	if t.Mode == TrustSigned {
		hint = "or use an executable in place of a manifest, which a signed list vouches for wherever it is"
	}
	return fmt.Errorf("it cannot be known who could replace %s, since %w: chown does not help inside; map the owners of the file and of its directories (newuidmap, or the user mapping of the container), %s", path, err, hint)
}
