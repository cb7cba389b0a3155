package event

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Decoding a payload with encoding/json reads every byte twice, once to check
// it, and again inside each type that decodes itself. The payload of an event
// was checked when its envelope was read, so what follows reads it once. It
// does the plain cases only: at the first value that is anything but ordinary
// it gives up, and encoding/json decodes the whole payload. FuzzFast holds the
// two against each other for every payload type.

// plan says how to decode a struct.
type plan struct {
	fields map[string]planField
	folded map[string]bool // the names in lower case: encoding/json accepts those, too
}

type planField struct {
	index []int
	how   int
}

const (
	howText = iota
	howBool
	howInt
	howItself  // has an UnmarshalJSON
	howStruct  // a struct without one
	howPointer // to a struct without one
	howSlowly  // by encoding/json
)

var plans sync.Map // reflect.Type → *plan, nil for a type that is not plain

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func planOf(t reflect.Type) *plan {
	if p, ok := plans.Load(t); ok {
		return p.(*plan)
	}
	p := newPlan(t)
	plans.Store(t, p)
	return p
}

func newPlan(t reflect.Type) *plan {
	p := &plan{fields: make(map[string]planField), folded: make(map[string]bool)}
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
		p.fields[name] = planField{index: f.Index, how: howOf(f.Type)}
		p.folded[strings.ToLower(name)] = true
	}
	return p
}

func howOf(t reflect.Type) int {
	plainStruct := func(t reflect.Type) bool {
		return t.Kind() == reflect.Struct && !reflect.PointerTo(t).Implements(unmarshaler)
	}
	switch {
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
	p := planOf(v.Type())
	if p == nil || len(object) == 0 || object[0] != '{' {
		return false
	}
	return eachMember(object, func(name, value []byte) bool {
		f, known := p.fields[string(name)]
		if !known {
			return isASCII(name) && !p.folded[string(bytes.ToLower(name))]
		}
		return setFast(v.FieldByIndex(f.index), f.how, value)
	})
}

func setFast(v reflect.Value, how int, value []byte) bool {
	if value[0] == 'n' && how != howItself && how != howSlowly {
		if how == howPointer {
			v.SetZero()
		}
		return true // null leaves everything else as it is
	}
	switch how {
	case howText:
		if value[0] != '"' || bytes.IndexByte(value, '\\') >= 0 || !utf8.Valid(value) {
			return value[0] == '"' && json.Unmarshal(value, v.Addr().Interface()) == nil
		}
		v.SetString(string(value[1 : len(value)-1]))
	case howBool:
		v.SetBool(value[0] == 't')
		return value[0] == 't' || value[0] == 'f'
	case howInt:
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return false
		}
		v.SetInt(n)
	case howItself:
		return v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(value) == nil
	case howStruct:
		return decodeFast(value, v)
	case howPointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return decodeFast(value, v.Elem())
	default:
		return json.Unmarshal(value, v.Addr().Interface()) == nil
	}
	return true
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf || c == '\\' {
			return false
		}
	}
	return true
}
