//go:build linux

package process

import (
	"os"
	"strings"
	"testing"
)

func TestOwnGOMEMLIMITWins(t *testing.T) {
	got := Resources{Memory: 1000}.environment([]string{"A=b", "GOMEMLIMIT=1GiB"})
	if len(got) != 0 {
		t.Errorf("got %q", got)
	}
}

func TestAccounts(t *testing.T) {
	root := os.Geteuid() == 0
	tests := []struct {
		text string
		root bool   // only as root is that another user
		want string // part of the error, or nothing
	}{
		{"", false, ""},
		{"nobody-of-that-name", false, `unknown user nobody-of-that-name`},
		{"1999999", false, `give the group as well, as in 1999999:1999999`},
		{"1999999:no-such-group", false, `unknown group no-such-group`},
		{"1999999:1999999", true, ""},
		{"nobody", true, ""},
		{"nobody:0", true, ""},
	}
	for _, tt := range tests {
		a, err := LookUpAccount(tt.text)
		want := tt.want
		if tt.root && !root {
			want = "only root may start processes of another user"
		}
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %v, want %q", tt.text, err, want)
		}
		if err == nil && (a != nil) != tt.root {
			t.Errorf("%q: got %+v", tt.text, a)
		}
	}
}
