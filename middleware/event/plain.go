package event

import "bytes"

// The functions in this file read JSON that encoding/json has found to be
// valid before it calls an UnmarshalJSON. To call it again for each small
// object inside a payload would check every byte once more.

// eachMember calls set for the members of an object, with values as they were
// sent. It reports whether it came to the end: whether the object is one, as
// far as it was looked at, and set accepted each member.
func eachMember(object []byte, set func(name, value []byte) bool) bool {
	rest := trim(object[1:]) // {
	if len(rest) > 0 && rest[0] == '}' {
		return true
	}
	for {
		n := skip(rest)
		if n < 2 || rest[0] != '"' {
			return false
		}
		name := rest[1 : n-1]
		if rest = trim(rest[n:]); len(rest) == 0 || rest[0] != ':' {
			return false
		}
		rest = trim(rest[1:])
		if n = skip(rest); n < 1 || !set(name, rest[:n]) {
			return false
		}
		rest = trim(rest[n:])
		switch {
		case len(rest) == 0:
			return false
		case rest[0] == '}':
			return true
		case rest[0] != ',':
			return false
		}
		rest = trim(rest[1:])
	}
}

func trim(b []byte) []byte {
	if len(b) > 0 && b[0] > ' ' {
		return b // nearly always
	}
	return bytes.TrimLeft(b, " \t\r\n")
}

// skip returns the length of the value at the beginning of b, or 0 if there is
// none that ends.
func skip(b []byte) int {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '"':
			if i = textEnd(b, i); i < 0 {
				return 0
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
	if depth > 0 {
		return 0
	}
	return len(b)
}

// textEnd returns where the text that begins at i ends, or -1.
func textEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
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
	rest := trim(array[1:]) // [
	for {
		n := skip(rest)
		if n < 1 {
			return
		}
		f(rest[:n])
		if rest = trim(rest[n:]); len(rest) == 0 || rest[0] != ',' {
			return
		}
		rest = trim(rest[1:])
	}
}
