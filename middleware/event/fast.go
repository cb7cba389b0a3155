package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Decoding a payload with encoding/json reads every byte twice, once to check
// it, and again inside each type that decodes itself. The payload of an event
// was checked when its envelope was read, so what follows reads it once. It
// does the plain cases only: at the first value that is anything but ordinary
// it gives up, and encoding/json decodes the whole payload. FuzzFast holds the
// two against each other for every payload type.

// A taker decodes itself from a reader that is at a value. It reports whether
// that was ordinary; otherwise it may be filled in part.
type taker interface {
	take(r *reader) bool
}

// plan says how to decode a struct.
type plan struct {
	fields map[string]*planField
	folded map[string]bool // the names in lower case: encoding/json accepts those, too
	first  planField       // stands before the first member
}

type planField struct {
	name  string
	index []int
	how   int

	// next is the field that came behind this one the last time, which it
	// nearly always does again.
	next atomic.Pointer[planField]
}

// field returns the field of a member that comes behind another, or nil.
func (p *plan) field(before *planField, name []byte) *planField {
	if f := before.next.Load(); f != nil && f.name == string(name) {
		return f
	}
	f := p.fields[string(name)]
	if f != nil {
		before.next.Store(f)
	}
	return f
}

const (
	howNotYet = iota // has not been found out
	howText
	howBool
	howInt
	howScalar  // is text that holds any scalar
	howTaker   // is another taker
	howItself  // has an UnmarshalJSON
	howStruct  // a struct without one
	howPointer // to a struct without one
	howSlowly  // by encoding/json
)

var plans sync.Map // reflect.Type → *plan, nil for a type that is not plain

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	takes       = reflect.TypeFor[taker]()
)

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := newPlan(t)
	plans.Store(t, p)
	return p
}

func newPlan(t reflect.Type) *plan {
	p := &plan{fields: make(map[string]*planField), folded: make(map[string]bool)}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct && !reflect.PointerTo(f.Type).Implements(unmarshaler):
			continue // its fields are visible themselves
		case f.Anonymous || strings.Contains(options, "string"):
			return nil
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		if _, twice := p.fields[name]; twice {
			return nil
		}
		p.fields[name] = &planField{name: name, index: f.Index, how: howOf(f.Type)}
		p.folded[strings.ToLower(name)] = true
	}
	return p
}

func howOf(t reflect.Type) int {
	plainStruct := func(t reflect.Type) bool {
		return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshaler)
	}
	switch {
	case t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(takes):
		if t.Kind() == reflect.String {
			return howScalar
		}
		return howTaker
	case t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshaler):
		return howItself
	case t.Kind() == reflect.String:
		return howText
	case t.Kind() == reflect.Bool:
		return howBool
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return howInt
	case plainStruct(t):
		return howStruct
	case t.Kind() == reflect.Pointer && plainStruct(t.Elem()):
		return howPointer
	}
	return howSlowly
}

// decodeFast decodes an object into a struct and reports whether all went the
// ordinary way. If it did not, v may have been filled in part.
func decodeFast(object []byte, v reflect.Value) bool {
	r := readers.Get().(*reader)
	ok := r.begin(object) && r.object(v)
	*r = reader{} // keeps no payload
	readers.Put(r)
	return ok
}

// A reader is given to methods behind interfaces, so it would be allocated.
var readers = sync.Pool{New: func() any { return new(reader) }}

// object takes an object.
func (r *reader) object(v reflect.Value) bool {
	p := planOf(v.Type())
	if p == nil || r.peek() != '{' {
		return false
	}
	before := &p.first
	for name, more := r.member(); more; name, more = r.member() {
		f := p.field(before, name)
		if f == nil {
			if !r.unknown(p, name) {
				return false
			}
			continue
		}
		if !r.into(v.FieldByIndex(f.index), f.how) {
			return false
		}
		before = f
	}
	return r.end()
}

// unknown passes over a member that p has no field for. One that encoding/json
// would find a field for is not ordinary.
func (r *reader) unknown(p *plan, name []byte) bool {
	if !isASCII(name) || p.folded[string(bytes.ToLower(name))] {
		return false
	}
	_, ok := r.skip()
	return ok
}

// end leaves an object whose members were taken, or that has none.
func (r *reader) end() bool { return r.closed('}') }

// into takes a value as a field of its kind wants it.
func (r *reader) into(v reflect.Value, how int) bool {
	switch how {
	case howScalar:
		s, ok := r.scalar()
		v.SetString(s)
		return ok
	case howTaker:
		return v.Addr().Interface().(taker).take(r)
	}
	c := r.peek()
	if c == 'n' && how != howItself && how != howSlowly {
		r.word()
		if how == howPointer {
			v.SetZero()
		}
		return true // null leaves everything else as it is
	}
	switch how {
	case howText:
		s, ok := r.text()
		v.SetString(s)
		return ok
	case howBool:
		r.word()
		v.SetBool(c == 't')
		return c == 't' || c == 'f'
	case howInt:
		s, _ := r.scalar()
		n, err := strconv.ParseInt(s, 10, 64)
		v.SetInt(n)
		return err == nil && c != '"'
	case howStruct:
		return r.object(v)
	case howPointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return r.object(v.Elem())
	}
	value, ok := r.skip()
	if ok && how == howItself {
		return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(value) == nil
	}
	return ok && json.Unmarshal(value, v.Addr().Interface()) == nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
