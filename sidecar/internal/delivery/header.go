package delivery

import (
	"cmp"
	"net/http"
	"slices"
)

// ListHeader lists a header by name, the values of one name in their order.
func ListHeader(h http.Header) [][2]string {
	pairs := make([][2]string, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			pairs = append(pairs, [2]string{name, v})
		}
	}
	slices.SortStableFunc(pairs, func(a, b [2]string) int { return cmp.Compare(a[0], b[0]) })
	return pairs
}

// RecordLimit caps the headers and the body kept of a request or response of
// an attempt (Telnyx API v2, webhook_deliveries: 10 kB each).
const RecordLimit = 10_000

// ClipHeader returns the beginning of a header, cut off at RecordLimit bytes of
// names and values. It returns h itself if that is all of it.
func ClipHeader(h [][2]string) [][2]string {
	left := RecordLimit
	for i, pair := range h {
		if left -= len(pair[0]) + len(pair[1]); left >= 0 {
			continue
		}
		clipped := append([][2]string(nil), h[:i]...)
		if room := left + len(pair[1]); room > 0 {
			clipped = append(clipped, [2]string{pair[0], pair[1][:room]})
		}
		return clipped
	}
	return h
}
