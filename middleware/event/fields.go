package event

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// A Field is one field of a payload.
type Field struct {
	// Path is its place in the payload: names joined by dots, each element of
	// a list with "[]" behind the list's name, as in "to[].phone_number".
	Path string

	// Go is the Go type, such as "string", "event.Time" or
	// "event.List[event.Endpoint]".
	Go reflect.Type

	// JSON are the types of JSON that decode into the field, the usual one
	// first: "string", "number", "boolean", "object", "array"; "any" for a
	// field that keeps whatever is sent.
	JSON []string
}

// GoName returns the Go type as a program that imports this package writes it, such
// as "event.List[event.Endpoint]"; of a type without a name it says only "struct".
func (f Field) GoName() string {
	if f.Go == reflect.TypeFor[json.RawMessage]() {
		return "json.RawMessage" // which newer versions of Go have under another name
	}
	inner, _ := elem(f.Go)
	if inner.Kind() == reflect.Struct && inner.Name() == "" {
		return strings.Replace(f.Go.String(), inner.String(), "struct", 1)
	}
	return strings.ReplaceAll(f.Go.String(), reflect.TypeFor[Field]().PkgPath()+".", "event.")
}

// Fields returns the fields of an event type's payload in the order of the Go
// type, objects before what is in them, or nil for an event type that is not
// defined or whose payload is not a struct. They are read from the Go type:
// there is no second list.
func Fields(eventType string) []Field {
	payload := NewPayload(eventType)
	if payload == nil {
		return nil
	}
	return fieldsOf(nil, "", reflect.TypeOf(payload).Elem(), nil)
}

// fieldsOf appends the fields of a type if it is a struct. A type inside itself
// ends the path.
func fieldsOf(fields []Field, prefix string, t reflect.Type, above []reflect.Type) []Field {
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[Time]() || slices.Contains(above, t) {
		return fields
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, list := elem(f.Type)
		switch {
		case f.Anonymous && name == "" && inner.Kind() == reflect.Struct:
			fields = fieldsOf(fields, prefix, inner, append(above, t))
			continue
		case !f.IsExported() || name == "-":
			continue
		case name == "":
			name = f.Name
		}
		path := prefix + name
		fields = append(fields, Field{Path: path, Go: f.Type, JSON: kindsOf(f.Type)})
		if list {
			path += "[]"
		}
		fields = fieldsOf(fields, path+".", inner, append(above, t))
	}
	return fields
}

// elem returns what a pointer or list is of, and whether t is a list.
func elem(t reflect.Type) (inner reflect.Type, list bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() == reflect.Slice && t != reflect.TypeFor[Value]() {
		inner, _ = elem(t.Elem())
		return inner, true
	}
	return t, false
}

// Kinds of JSON, as [Field] names them.
const (
	str    = "string"
	number = "number"
	truth  = "boolean"
	object = "object"
	array  = "array"
)

// kinds are the types of JSON that types with an UnmarshalJSON take.
var kinds = map[reflect.Type][]string{
	reflect.TypeFor[Decimal]():         {str, number},
	reflect.TypeFor[Text]():            {str, number, truth},
	reflect.TypeFor[Int]():             {number, str},
	reflect.TypeFor[Bool]():            {truth, str, number},
	reflect.TypeFor[Time]():            {str},
	reflect.TypeFor[ClientState]():     {str},
	reflect.TypeFor[Base64]():          {str},
	reflect.TypeFor[Endpoint]():        {object, str},
	reflect.TypeFor[EmailAddress]():    {object, str},
	reflect.TypeFor[MessageBody]():     {object, str},
	reflect.TypeFor[PortingStatus]():   {object, str},
	reflect.TypeFor[ProblemSource]():   {object, str},
	reflect.TypeFor[QualityStats]():    {object, str},
	reflect.TypeFor[InsightResult]():   {object, str},
	reflect.TypeFor[Value]():           {"any"},
	reflect.TypeFor[json.RawMessage](): {"any"},
}

// kindsOf returns the types of JSON that decode into t.
func kindsOf(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if k := kinds[t]; k != nil {
		return k
	}
	switch k := t.Kind(); {
	case k == reflect.String:
		return []string{str}
	case k == reflect.Bool:
		return []string{truth}
	case reflect.Int <= k && k <= reflect.Float64:
		return []string{number}
	case k == reflect.Interface:
		return []string{"any"}
	case k == reflect.Slice:
		if reflect.PointerTo(t).Implements(unmarshaler) { // List takes one element, too
			return append([]string{array}, kindsOf(t.Elem())...)
		}
		return []string{array}
	}
	return []string{object}
}
