package webhook

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a body. No known event exceeds 10.
const maxDepth = 64

// span is a part of the body; the zero span means an absent member.
type span struct{ start, end int }

// object records what was seen of one JSON object: where the values of the
// interesting members stand.
type object [numFields]span

func (o *object) has(f field) bool { return o[f].end > 0 }

// scan is the result of reading a body once: the objects that an envelope can
// consist of.
type scan struct {
	body  []byte
	pos   int
	depth int
	slow  bool   // something was not ordinary: plainValue is of no use
	why   string // why the body is not an unambiguous JSON object; "" if it is

	top, data, meta object
	metadata, inner object // of a call-events record: metadata and metadata.event
	metaMember      span   // the whole "meta" member, name included
}

// scanBody reads a body strictly: the grammar of RFC 8259, valid UTF-8, no
// duplicate among the members that decide the route, nothing behind the
// object. It looks at each byte once and allocates nothing unless it fails.
// It reports in why what is wrong with the body, or "" if nothing is.
func (s *scan) scanBody(body []byte) {
	s.body = body
	if !utf8.Valid(body) {
		s.fail("not valid UTF-8")
		return
	}
	s.space()
	if s.peek() != '{' {
		s.fail("not a JSON object")
		return
	}
	if !s.object(&s.top) {
		return
	}
	if s.space(); s.pos < len(body) {
		s.fail("text after the JSON object")
	}
}

// fail records the first problem and returns false.
func (s *scan) fail(format string, args ...any) bool {
	if s.why == "" {
		s.why = fmt.Sprintf(format, args...) + fmt.Sprintf(" (byte %d)", s.pos)
	}
	return false
}

// leave reads the closing bracket of an object or array. After a failure the
// depth no longer matters.
func (s *scan) leave() bool {
	s.pos++
	s.depth--
	return true
}

func (s *scan) space() {
	if s.pos < len(s.body) && s.body[s.pos] > ' ' {
		return // nearly always
	}
	for s.pos < len(s.body) {
		switch s.body[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end (which no value begins with).
func (s *scan) peek() byte {
	if s.pos < len(s.body) {
		return s.body[s.pos]
	}
	return 0
}

// child returns the object to fill from member f of o, or nil if what is in
// that member does not matter.
func (s *scan) child(o *object, f field) *object {
	switch {
	case o == &s.top && f == fData:
		return &s.data
	case o == &s.top && f == fMeta:
		return &s.meta
	case o == &s.top && f == fMetadata:
		return &s.metadata
	case o == &s.metadata && f == fEvent:
		return &s.inner
	}
	return nil
}

// object reads an object and notes its members in o, which may be nil.
func (s *scan) object(o *object) bool {
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested more than %d deep", maxDepth)
	}
	s.pos++ // {
	if s.space(); s.peek() == '}' {
		return s.leave()
	}
	for {
		s.space()
		nameStart := s.pos
		if s.peek() != '"' || !s.string() {
			return s.fail("expected a member name")
		}
		f := s.name(o, nameStart)
		if s.space(); s.peek() != ':' {
			return s.fail("expected a colon")
		}
		s.pos++
		s.space()
		value := span{start: s.pos}
		if c := s.child(o, f); o != nil && c != nil && s.peek() == '{' {
			if !s.object(c) {
				return false
			}
		} else if !s.value() {
			return false
		}
		value.end = s.pos
		if f != fOther {
			if o.has(f) {
				return s.fail("the member %q stands twice in one object", s.body[nameStart:value.start])
			}
			o[f] = value
			if o == &s.top && f == fMeta {
				s.metaMember = span{nameStart, value.end}
			}
		}
		switch s.space(); s.peek() {
		case ',':
			s.pos++
		case '}':
			return s.leave()
		default:
			return s.fail("expected a comma or the end of the object")
		}
	}
}

// name returns which field the member name that starts at start and ends here
// is. A name spelled with escapes is the same name to every correct parser.
func (s *scan) name(o *object, start int) field {
	if o == nil {
		return fOther
	}
	quoted := s.body[start:s.pos]
	if bytes.IndexByte(quoted, '\\') >= 0 {
		var decoded string
		if json.Unmarshal(quoted, &decoded) != nil {
			return fOther
		}
		return fieldOf([]byte(decoded))
	}
	return fieldOf(quoted[1 : len(quoted)-1])
}

// value reads any value.
func (s *scan) value() bool {
	switch c := s.peek(); {
	case (c == '{' || c == '[') && !s.slow:
		if end := plainValue(s.body, s.pos, s.depth); end > 0 {
			s.pos = end
			return true
		}
		s.slow = true
		return s.value()
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array()
	case c == '"':
		return s.string()
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	}
	return s.fail("expected a value")
}

func (s *scan) word(w string) bool {
	if len(s.body)-s.pos < len(w) || string(s.body[s.pos:s.pos+len(w)]) != w {
		return s.fail("expected a value")
	}
	s.pos += len(w)
	return true
}

func (s *scan) array() bool {
	if s.depth++; s.depth > maxDepth {
		return s.fail("nested more than %d deep", maxDepth)
	}
	s.pos++ // [
	if s.space(); s.peek() == ']' {
		return s.leave()
	}
	for {
		s.space()
		if !s.value() {
			return false
		}
		switch s.space(); s.peek() {
		case ',':
			s.pos++
		case ']':
			return s.leave()
		default:
			return s.fail("expected a comma or the end of the array")
		}
	}
}

// plainPrefix returns how many bytes at the beginning of b stand for themselves
// in a string: not a quote, backslash or control character. It looks at
// eight bytes at a time.
func plainPrefix(b []byte) int {
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		if found := special(binary.LittleEndian.Uint64(b[n:])); found != 0 {
			return n + bits.TrailingZeros64(found)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

// string reads a string. Half a surrogate pair passes, as in encoding/json:
// Telnyx cuts long texts, and a cut text must not lose its route.
func (s *scan) string() bool {
	s.pos++ // "
	for {
		s.pos += plainPrefix(s.body[s.pos:])
		switch s.peek() {
		case '"':
			s.pos++
			return true
		case '\\':
			if !s.escape() {
				return s.fail("bad escape in a string")
			}
		default:
			if s.pos == len(s.body) {
				return s.fail("string does not end")
			}
			return s.fail("control character in a string")
		}
	}
}

func (s *scan) escape() bool {
	s.pos++ // backslash
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return true
	case 'u':
		if len(s.body)-s.pos < 5 {
			return false
		}
		for _, c := range s.body[s.pos+1 : s.pos+5] {
			if !isHexDigit(c) {
				return false
			}
		}
		s.pos += 5
		return true
	}
	return false
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func (s *scan) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail("bad number")
	}
	if s.peek() == '.' {
		if s.pos++; !s.digits() {
			return s.fail("bad number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		if s.pos++; s.peek() == '+' || s.peek() == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail("bad number")
		}
	}
	return true
}

// digits reads one or more digits.
func (s *scan) digits() bool {
	start := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}

// appendText appends the text of a string member, or of a number as it was
// written. It appends nothing for an absent member or any other kind of value.
func (s *scan) appendText(b []byte, o *object, f field) []byte {
	if !o.has(f) {
		return b
	}
	raw := s.body[o[f].start:o[f].end]
	switch raw[0] {
	case '"':
		if bytes.IndexByte(raw, '\\') < 0 {
			return append(b, raw[1:len(raw)-1]...)
		}
		var v string
		if json.Unmarshal(raw, &v) != nil {
			return b
		}
		return append(b, v...)
	case '{', '[', 't', 'f', 'n':
		return b
	}
	return append(b, raw...)
}

// raw returns the value of a member, or nil if it is absent or null.
func (s *scan) raw(o *object, f field) json.RawMessage {
	if !o.has(f) || s.body[o[f].start] == 'n' {
		return nil
	}
	return s.body[o[f].start:o[f].end:o[f].end]
}
