//go:build unix

package catalog

import (
	"strings"
	"testing"
)

func TestOwnerIsKnown(t *testing.T) {
	const overflow = 65534
	full, none := "         0          0 4294967295\n", ""
	one, nobody, many := "0 1000 1\n", "65534 1000 1\n", "0 1000 1\n1 100000 65536\n"
	tests := []struct {
		name, uidMap string
		owner        int
		mine         bool
		want         string
	}{
		{"no namespace", full, 12345, false, ""},
		{"no namespace, nobody's", full, overflow, false, ""},
		{"one user, its own file", one, 0, true, ""},
		{"one user, a file of others", one, overflow, false, "its owner is not mapped"},
		{"nothing is mapped", none, overflow, false, "no user is mapped"},
		{"nothing is mapped, even if it is its own", none, overflow, true, "no user is mapped"},
		{"a container's user", many, 1000, false, ""},
		{"a container's nobody, its own file", many, overflow, true, ""},
		{"a container's nobody, a file of others", many, overflow, false, "its owner is not mapped"},
		{"nobody alone, a file of others", nobody, overflow, false, "its owner is not mapped"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := parseUsers([]byte(tt.uidMap), overflow).identify(tt.owner, func() bool { return tt.mine })
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
