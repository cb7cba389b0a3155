package webhook

import (
	"bytes"
	"testing"
)

// TestPlainPrefix tries every byte at every place of a long text.
func TestPlainPrefix(t *testing.T) {
	for length := range 40 {
		for at := range length + 1 {
			for c := range 256 {
				b := bytes.Repeat([]byte{'\xc3'}, length)
				if at%2 == 0 {
					b = bytes.Repeat([]byte{'a'}, length)
				}
				want := length
				if at < length {
					b[at] = byte(c)
					if c < ' ' || c == '"' || c == '\\' {
						want = at
					}
				}
				if got := plainPrefix(b); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
			}
		}
	}
}
