package link

import (
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadLines(t *testing.T) {
	const most = 64
	long := strings.Repeat("x", 3*most)
	tests := []struct {
		name, input string
		want        []string
	}{
		{"lines", "a\nb\r\n\nc\n", []string{"a", "b", "", "c"}},
		{"a last line without newline", "a\nb", []string{"a", "b"}},
		{"nothing", "", nil},
		{"a long line is cut", "a\n" + long + "\nb\n", []string{"a", "cut " + long[:most], "b"}},
		{"a long line without end is cut", long, []string{"cut " + long[:most]}},
		{"a line that just fits", long[:most-1] + "\nb\n", []string{long[:most-1], "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.input), iotest.HalfReader(strings.NewReader(tt.input))} {
				var got []string
				ReadLines(r, most, func(line []byte, truncated bool) {
					text := string(line)
					if truncated {
						text = "cut " + text
					}
					got = append(got, text)
				})
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %.100q, want %.100q", got, tt.want)
				}
			}
		})
	}
}
