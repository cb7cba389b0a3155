package event

import "bytes"

// The functions in this file read JSON that encoding/json has found to be
// valid before it calls an UnmarshalJSON. To call it again for each small
// object inside a payload would check every byte once more.

// eachMember calls set for the members of an object, with values as they were
// sent, and reports whether set knew every name. A name is not known if it has
// escapes: then, or when it differs by case, encoding/json must have a look.
func eachMember(object []byte, set func(name, value []byte) bool) bool {
	rest := bytes.TrimLeft(object[1:], spaces) // {
	for len(rest) > 0 && rest[0] == '"' {
		n := skip(rest)
		name := rest[1 : n-1]
		rest = bytes.TrimLeft(rest[n:], spaces)
		rest = bytes.TrimLeft(rest[1:], spaces) // :
		n = skip(rest)
		if !set(name, rest[:n]) {
			return false
		}
		rest = bytes.TrimLeft(rest[n:], spaces)
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], spaces)
		}
	}
	return true
}

const spaces = " \t\r\n"

// skip returns the length of the value at the beginning of b.
func skip(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return i // behind a number or a word
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// text returns the text of a JSON string, and nothing of any other value.
func text(value []byte) string {
	if value[0] != '"' {
		noText(value)
		return ""
	}
	return scalar(value)
}

// eachElement calls f for the elements of an array.
func eachElement(array []byte, f func(element []byte)) {
	rest := bytes.TrimLeft(array[1:], spaces) // [
	for len(rest) > 0 && rest[0] != ']' {
		n := skip(rest)
		f(rest[:n])
		rest = bytes.TrimLeft(rest[n:], spaces)
		if rest[0] == ',' {
			rest = bytes.TrimLeft(rest[1:], spaces)
		}
	}
}
