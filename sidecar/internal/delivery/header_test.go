package delivery_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

func TestClipHeader(t *testing.T) {
	long := strings.Repeat("v", delivery.RecordLimit)
	for _, tt := range []struct {
		name     string
		in, want [][2]string
	}{
		{"nothing", nil, nil},
		{"short", [][2]string{{"a", "1"}, {"b", "2"}}, [][2]string{{"a", "1"}, {"b", "2"}}},
		{"exactly as much as fits", [][2]string{{"ab", long[2:]}}, [][2]string{{"ab", long[2:]}}},
		{"a value is cut", [][2]string{{"a", "1"}, {"b", long}, {"c", "3"}}, [][2]string{{"a", "1"}, {"b", long[3:]}}},
		{"no room for a value", [][2]string{{"a", long[1:]}, {"b", "2"}}, [][2]string{{"a", long[1:]}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, delivery.ClipHeader(tt.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
