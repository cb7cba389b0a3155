package untrusted

import "encoding/json"

// maxDepth is how deep JSON may be nested to be embedded. encoding/json reads no
// more than 10,000 levels, and newer versions count those around a
// json.RawMessage; the rest is for whatever is around it.
const maxDepth = 9000

// Embeddable reports whether b is JSON that can stand in other JSON as a
// json.RawMessage, for writing and for reading that, by any version of Go.
func Embeddable(b []byte) bool { return json.Valid(b) && depth(b) <= maxDepth }

// depth returns how deep valid JSON is nested.
func depth(b []byte) int {
	now, most, text := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			most = max(most, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return most
}
