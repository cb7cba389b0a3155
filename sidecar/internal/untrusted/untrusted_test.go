package untrusted_test

import (
	"testing"

	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

func TestClip(t *testing.T) {
	for _, tt := range []struct{ name, in, clip, prefix string }{
		{"short", "abc", "abc", "abc"},
		{"as long as it may be", "abcd", "abcd", "abcd"},
		{"longer", "abcde", "abcd…", "abcd"},
		{"between two letters", "abcéf", "abc…", "abc"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := untrusted.Clip(tt.in, 4); got != tt.clip {
				t.Errorf("clipped: %q, want %q", got, tt.clip)
			}
			if got := untrusted.Prefix(tt.in, 4); got != tt.prefix {
				t.Errorf("prefix: %q, want %q", got, tt.prefix)
			}
		})
	}
}

func TestValid(t *testing.T) {
	if got := untrusted.Valid("caf\xe9 é"); got != "caf\uFFFD é" {
		t.Errorf("got %q", got)
	}
}
