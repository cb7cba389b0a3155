package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
)

// users are the users that this process can tell apart. In a user namespace, files
// of unmapped users all seem to belong to the same one.
type users struct {
	mapped   [][2]int64 // ranges, from and up to; nil if all are
	overflow int        // the apparent owner of files of unmapped users
}

// everybody is for a process outside any user namespace, and for systems without
// them.
var everybody = users{overflow: -1}

// readUsers asks the system.
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

// parseUsers parses uid_map: lines with the first user inside, the first outside,
// and their number.
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

// identify returns an error if the owner that a file seems to have may not be its
// owner. mine reports whether the file belongs to this process; it is called only
// if an unmapped user would look the same.
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

// strangers returns the error for a file whose owner is unknown. A chown from inside
// the namespace cannot change that.
func (t *Trust) strangers(path string, err error) error {
	hint := "or set HOOKSWITCH_PLUGIN_TRUST=signed, which trusts programs wherever they are"
	if t.Mode == TrustSigned {
		hint = "or use an executable in place of a manifest, which the signed list covers wherever it is"
	}
	return fmt.Errorf("it is unknown who could replace %s, since %w: chown does not help inside; map the owners of the file and of its directories (newuidmap, or the user mapping of the container), %s", path, err, hint)
}
