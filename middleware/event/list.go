package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
)

// List is a field of which Telnyx sends one value or an array of them.
type List[T any] []T

// UnmarshalJSON accepts an array, a single value or null. It never fails:
// elements that do not decode into T keep what could be decoded of them.
func (l *List[T]) UnmarshalJSON(b []byte) error {
	*l = nil
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == 'n' {
		return nil
	}
	var r reader
	if r.begin(b) && l.take(&r) {
		return nil
	}
	if b[0] != '[' {
		var one T
		gently(b, &one)
		*l = List[T]{one}
		return nil
	}
	items := []T{}
	if _, byItself := any(new(T)).(json.Unmarshaler); byItself {
		for _, element := range elements(b) {
			var item T
			_ = any(&item).(json.Unmarshaler).UnmarshalJSON(element)
			items = append(items, item)
		}
	} else if texts, ok := any(&items).(*[]string); ok {
		for _, element := range elements(b) {
			*texts = append(*texts, text(element))
		}
	} else {
		gently(b, &items)
	}
	*l = items
	return nil
}

// elements returns the elements of an array.
func elements(array []byte) (list []json.RawMessage) {
	gently(array, &list)
	return list
}

// text returns the text of a JSON string, and nothing of any other value.
func text(value []byte) string {
	if value[0] != '"' {
		noText(value)
		return ""
	}
	return scalar(value)
}

func (l *List[T]) take(r *reader) bool {
	*l = nil
	how := howNotYet
	switch c := r.peek(); c {
	case 'n':
		r.word()
		return true
	case '[':
		r.i++
	default:
		var one [1]T
		ok := takeElement(r, &one[0], &how)
		*l = one[:]
		return ok
	}
	items := []T{}
	for start := r.i; r.peek() != ']'; r.i++ {
		if len(items) == 1 && len(r.b) > 4<<10 {
			// A long list in a long payload: as many as fit if they are alike.
			items = slices.Grow(items, min((len(r.b)-r.i)/(r.i-start)+1, 1<<10))
		}
		items = append(items, *new(T))
		if !takeElement(r, &items[len(items)-1], &how) {
			return false
		}
		if r.peek() != ',' {
			break
		}
	}
	*l = items
	return r.closed(']')
}

// takeElement takes an element of a list. It notes how, which takes time to
// find out, for the next.
func takeElement[T any](r *reader, item *T, how *int) bool {
	switch item := any(item).(type) {
	case taker:
		return item.take(r)
	case *string:
		return r.textInto(item)
	}
	v := reflect.ValueOf(item).Elem()
	if *how == howNotYet {
		*how = howOf(v.Type())
	}
	return r.into(v, *how)
}
