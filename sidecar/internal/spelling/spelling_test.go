package spelling

import "testing"

func TestDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "run", 3},
		{"run", "", 3},
		{"run", "run", 0},
		{"run", "ran", 1},
		{"run", "rn", 1},
		{"run", "runs", 1},
		{"run", "rnu", 1},
		{"ab", "ba", 1},
		{"plugins", "plgusin", 3},
		{"status", "events", 5},
	} {
		if got := Distance(tt.a, tt.b); got != tt.want {
			t.Errorf("from %q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := Distance(tt.b, tt.a); got != tt.want {
			t.Errorf("from %q to %q: %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
