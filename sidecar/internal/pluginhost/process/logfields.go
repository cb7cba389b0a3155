package process

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// depthMax is how deep the value of a field may be nested to be taken apart.
// A deeper one is kept as its text.
const depthMax = 32

// field is a name and a value of a JSON object, as they are in the line.
type field struct {
	key string
	raw []byte
}

// splitFields takes a JSON object apart at its top level. It is more tolerant
// than encoding/json, since one value that has no JSON, such as the NaN that
// Python writes, must not cost the level of the line. whole reports whether the
// object is complete and nothing follows it; of one that was cut the fields
// before the cut are returned.
func splitFields(line []byte) (fields []field, whole bool) {
	rest := bytes.TrimSpace(line)
	if len(rest) == 0 || rest[0] != '{' {
		return nil, false
	}
	rest = bytes.TrimLeft(rest[1:], " \t")
	if string(rest) == "}" {
		return nil, true
	}
	for {
		raw, n := splitString(rest)
		var key string
		if n == 0 || json.Unmarshal(raw, &key) != nil {
			return fields, false
		}
		rest = bytes.TrimLeft(rest[n:], " \t")
		if len(rest) == 0 || rest[0] != ':' {
			return fields, false
		}
		rest = bytes.TrimLeft(rest[1:], " \t")
		if n = valueLen(rest); n == 0 || n == len(rest) {
			return fields, false // nothing, or cut short
		}
		fields = append(fields, field{key, rest[:n]})
		rest = bytes.TrimLeft(rest[n:], " \t")
		switch {
		case string(rest) == "}":
			return fields, true
		case len(rest) == 0 || rest[0] != ',':
			return fields, false
		}
		rest = bytes.TrimLeft(rest[1:], " \t")
	}
}

// splitString returns the string that text begins with, and its length, 0 if
// there is none.
func splitString(text []byte) (raw []byte, n int) {
	if len(text) == 0 || text[0] != '"' {
		return nil, 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[:i+1], i + 1
		}
	}
	return nil, 0
}

// valueLen returns the length of the value that text begins with, 0 if it has no
// end.
func valueLen(text []byte) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			_, n := splitString(text[i:])
			if n == 0 {
				return 0
			}
			if i += n - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}

// value returns the value of a field: numbers with all their digits, and what is
// not JSON, or is nested too deep, as its text.
func (f field) value() any {
	text := strings.ToValidUTF8(string(f.raw), string(utf8.RuneError))
	if depth(f.raw) > depthMax {
		return text
	}
	dec := json.NewDecoder(bytes.NewReader(f.raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil || dec.More() {
		return text
	}
	return v
}

// depth returns a bound of how deep a value is nested.
func depth(raw []byte) (most int) {
	n := 0
	for _, b := range raw {
		switch b {
		case '{', '[':
			n++
			most = max(most, n)
		case '}', ']':
			n--
		}
	}
	return most
}
