package event

import (
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"unicode/utf8"
)

// A reader goes through JSON that is known to be valid, once. Its methods do
// the ordinary cases only and report whether it was one; after a false the
// caller starts anew with encoding/json, which knows the others.
type reader struct {
	b []byte
	s string // the same, or "" if texts are not to share memory
	i int    // where to read on
}

// maxShared is the size of a payload up to which its texts are parts of one
// string. Whoever keeps one of them keeps the string, so a large payload gives
// each text memory of its own.
const maxShared = 32 << 10

// begin starts to read b, and reports whether it is valid UTF-8.
func (r *reader) begin(b []byte) bool {
	*r = reader{b: b}
	if len(b) <= maxShared {
		r.s = string(b)
	}
	return utf8.Valid(b)
}

// peek returns the next byte that is not space, or 0 at the end.
func (r *reader) peek() byte {
	for ; r.i < len(r.b); r.i++ {
		if c := r.b[r.i]; c > ' ' {
			return c
		}
	}
	return 0
}

// member goes to the value of the next member of an object, and returns the
// member's name. Before the first it is at the brace. There is no further one,
// or the object is not ordinary, if it returns false; see closed.
func (r *reader) member() (name []byte, more bool) {
	if c := r.peek(); c != '{' && c != ',' {
		return nil, false
	}
	r.i++
	if r.peek() != '"' {
		return nil, false
	}
	start := r.i + 1
	end, escaped := r.textEnd()
	if escaped || end < 0 || r.peek() != ':' {
		return nil, false
	}
	r.i++
	return r.b[start:end], r.peek() != 0
}

// closed leaves an object or array after its last part, and reports whether it
// is at the bracket.
func (r *reader) closed(bracket byte) bool {
	if r.peek() != bracket {
		return false
	}
	r.i++
	return true
}

// textEnd goes behind the text that begins here. It returns where the text
// ends, or -1, and whether there are escapes in it.
func (r *reader) textEnd() (end int, escaped bool) {
	for i := r.i + 1; ; {
		i += plainPrefix(r.b[i:])
		switch {
		case i+1 < len(r.b) && r.b[i] == '\\':
			escaped = true
			i += 2
		case i < len(r.b) && r.b[i] == '"':
			r.i = i + 1
			return i, escaped
		default:
			return -1, escaped
		}
	}
}

// plainPrefix returns how many bytes at the beginning of b are neither a quote
// nor a backslash. It looks at eight at a time; the lowest bit that the
// subtractions leave is exact.
func plainPrefix(b []byte) int {
	const (
		ones      = 0x0101010101010101
		tops      = 0x8080808080808080
		quotes    = ones * '"'
		backslash = ones * '\\'
	)
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		x := binary.LittleEndian.Uint64(b[n:])
		q, e := x^quotes, x^backslash
		if found := ((q-ones)&^q | (e-ones)&^e) & tops; found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for n < len(b) && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

// part returns a part of the JSON as text.
func (r *reader) part(start, end int) string {
	if r.s == "" {
		return string(r.b[start:end])
	}
	return r.s[start:end]
}

// text takes a text.
func (r *reader) text() (string, bool) {
	if r.peek() != '"' {
		return "", false
	}
	start := r.i
	end, escaped := r.textEnd()
	switch {
	case end < 0:
		return "", false
	case escaped:
		var s string
		err := json.Unmarshal(r.b[start:end+1], &s)
		return s, err == nil
	}
	return r.part(start+1, end), true
}

// textInto takes a text, or null, which leaves what is there.
func (r *reader) textInto(s *string) bool {
	if r.peek() == 'n' {
		r.word()
		return true
	}
	text, ok := r.text()
	if ok {
		*s = text
	}
	return ok
}

// scalar takes a text, number, boolean or null as the function of that name
// does.
func (r *reader) scalar() (string, bool) {
	switch r.peek() {
	case '"':
		return r.text()
	case '{', '[', 0:
		return "", false
	case 'n':
		r.word()
		return "", true
	}
	start := r.i
	r.word()
	return r.part(start, r.i), true
}

// word goes behind a number or word.
func (r *reader) word() {
	for ; r.i < len(r.b); r.i++ {
		switch r.b[r.i] {
		case ',', ']', '}', ' ', '\t', '\r', '\n':
			return
		}
	}
}

// skip takes any value, and returns it.
func (r *reader) skip() (value []byte, ok bool) {
	c := r.peek()
	start, depth := r.i, 0
	switch c {
	case 0, ',', ':', ']', '}':
		return nil, false
	case '{', '[', '"':
	default:
		r.word()
		return r.b[start:r.i], true
	}
	for r.i < len(r.b) {
		switch r.b[r.i] {
		case '"':
			if end, _ := r.textEnd(); end < 0 {
				return nil, false
			}
		case '{', '[':
			depth++
			r.i++
		case '}', ']':
			depth--
			r.i++
		default:
			r.i++
			continue
		}
		if depth == 0 {
			return r.b[start:r.i], true
		}
	}
	return nil, false
}
