package webhook

import (
	"encoding/binary"
	"math/bits"
)

// plainValue returns where the object or array that begins at b[i] ends, in
// which nothing matters but the grammar: most of a body is in here. It returns
// -1 at whatever is not ordinary, and then the scan reads the value itself and
// says what is wrong with it, if anything is. depth is how deep it is nested.
//
// The open brackets are the bits of nested: 1 for an object.
func plainValue(b []byte, i, depth int) int {
	var nested uint64
	open := 0
	for {
		// At a value, or behind the bracket that opens an array or object.
		c := byteAt(b, i)
		switch {
		case c == '"':
			if i = plainString(b, i); i < 0 {
				return -1
			}
		case c == '{' || c == '[':
			if depth+open >= maxDepth {
				return -1
			}
			open++
			nested <<= 1
			i = spaceEnd(b, i+1)
			if c == '[' {
				if byteAt(b, i) != ']' {
					continue
				}
			} else {
				nested |= 1
				if byteAt(b, i) != '}' {
					if i = plainName(b, i); i < 0 {
						return -1
					}
					continue
				}
			}
			// It is empty, and closed below.
		default:
			if i = plainWord(b, i, c); i < 0 {
				return -1
			}
		}
		// Behind a value.
		for {
			i = spaceEnd(b, i)
			c := byteAt(b, i)
			if c == ',' {
				i = spaceEnd(b, i+1)
				if nested&1 == 1 {
					if i = plainName(b, i); i < 0 {
						return -1
					}
				}
				break
			}
			if c != ']'+byte(nested&1)<<5 { // ']', and '}' is 32 above
				return -1
			}
			i++
			nested >>= 1
			if open--; open == 0 {
				return i
			}
		}
	}
}

func byteAt(b []byte, i int) byte {
	if uint(i) < uint(len(b)) {
		return b[i]
	}
	return 0
}

func spaceEnd(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// plainName returns where the value of a member begins whose name does at b[i],
// or -1.
func plainName(b []byte, i int) int {
	if byteAt(b, i) != '"' {
		return -1
	}
	if i = plainString(b, i); i < 0 {
		return -1
	}
	if i = spaceEnd(b, i); byteAt(b, i) != ':' {
		return -1
	}
	return spaceEnd(b, i+1)
}

// plainString returns where the string that begins at b[i] ends, or -1 if it
// has an escape that is not ordinary or a character that must not be there.
func plainString(b []byte, i int) int {
	for i++; ; {
		if len(b)-i >= 8 {
			found := special(binary.LittleEndian.Uint64(b[i:]))
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) / 8
		}
		switch c := byteAt(b, i); {
		case c == '"':
			return i + 1
		case c == '\\':
			switch byteAt(b, i+1) {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
				i += 2
			case 'u':
				if len(b)-i < 6 || !isHexDigit(b[i+2]) || !isHexDigit(b[i+3]) || !isHexDigit(b[i+4]) || !isHexDigit(b[i+5]) {
					return -1
				}
				i += 6
			default:
				return -1
			}
		case c < ' ':
			return -1
		default:
			i++
		}
	}
}

// special has the top bit of each byte of x set that is a quote, a backslash
// or a control character, up to the lowest of them exactly. With the bit of 2
// turned over the quote is the one behind the control characters.
func special(x uint64) uint64 {
	const (
		ones      = 0x0101010101010101
		tops      = 0x8080808080808080
		backslash = ones * '\\'
	)
	c, e := x^ones*2, x^backslash
	return ((c-ones*(' '+1))&^c | (e-ones)&^e) & tops
}

// plainWord returns where the number or word that begins at b[i] with c ends,
// or -1.
func plainWord(b []byte, i int, c byte) int {
	word := ""
	switch {
	case c == 't':
		word = "true"
	case c == 'f':
		word = "false"
	case c == 'n':
		word = "null"
	case c == '-' || '0' <= c && c <= '9':
		s := scan{body: b, pos: i}
		if !s.number() {
			return -1
		}
		return s.pos
	}
	if word == "" || len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}
