package sdk

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

var (
	durationType        = reflect.TypeFor[time.Duration]()
	jsonUnmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textUnmarshalerType = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// field is a field of a struct of settings.
type field struct {
	name     string
	index    []int // for FieldByIndex
	typ      reflect.Type
	desc     string
	fallback json.RawMessage // the default, or nil
	required bool
}

// fieldsOf returns the fields that can be set, those of embedded structs among
// them, in the order of their declaration.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct {
			for _, inner := range fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				all = append(all, inner)
			}
			continue
		}
		if !f.IsExported() {
			continue
		}
		all = append(all, field{
			name:     cmp.Or(name, f.Name),
			index:    []int{i},
			typ:      f.Type,
			desc:     f.Tag.Get("desc"),
			fallback: fallback(f),
			required: f.Tag.Get("required") == "true",
		})
	}
	return all
}

// fallback returns the default of a field as JSON: in the tag, text needs no
// quotes.
func fallback(f reflect.StructField) json.RawMessage {
	text, ok := f.Tag.Lookup("default")
	switch {
	case !ok:
		return nil
	case json.Valid([]byte(text)) && isLiteral(f.Type):
		return json.RawMessage(text)
	}
	quoted, _ := json.Marshal(text) // text always has a JSON form
	return quoted
}

// isLiteral reports whether the JSON of the type is not text.
func isLiteral(t reflect.Type) bool {
	t = indirect(t)
	return t != durationType && t.Kind() != reflect.String && !reflect.PointerTo(t).Implements(textUnmarshalerType)
}

func indirect(t reflect.Type) reflect.Type {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

// readsItself reports whether the type has its own way to be decoded.
func readsItself(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(jsonUnmarshalerType) || reflect.PointerTo(t).Implements(textUnmarshalerType)
}

// schemaOf returns the JSON Schema of settings of the type, or which of their
// fields cannot have any JSON, or a default that does not fit.
func schemaOf(t reflect.Type) (json.RawMessage, error) {
	s := schemas{open: make(map[reflect.Type]bool)}
	schema := s.of("", t)
	if s.err != nil {
		return nil, s.err
	}
	return json.Marshal(schema)
}

type schemas struct {
	open map[reflect.Type]bool // being described: a type may contain itself
	err  error
}

// schema is the part of JSON Schema (2020-12) in use, in the order of its keys.
type schema struct {
	Type        string             `json:"type,omitempty"`
	Description string             `json:"description,omitempty"`
	Default     json.RawMessage    `json:"default,omitempty"`
	Minimum     *int               `json:"minimum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  any                `json:"additionalProperties,omitempty"` // false, or the schema of values
}

func (s *schemas) of(path string, t reflect.Type) *schema {
	t = indirect(t)
	switch {
	case t == durationType:
		return &schema{Type: "string", Description: `a duration such as "30s" or "5m"`}
	case reflect.PointerTo(t).Implements(jsonUnmarshalerType):
		return &schema{}
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		return &schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return &schema{Type: "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return &schema{Type: "integer", Minimum: new(int)}
	case reflect.Float32, reflect.Float64:
		return &schema{Type: "number"}
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &schema{Type: "string"} // base64
		}
		return &schema{Type: "array", Items: s.of(path+"[]", t.Elem())}
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return &schema{Type: "object", Additional: s.of(path+"{}", t.Elem())}
		}
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return &schema{}
		}
	case reflect.Struct:
		return s.object(path, t)
	}
	s.fail(path, fmt.Errorf("a %v has no JSON", t))
	return nil
}

func (s *schemas) object(path string, t reflect.Type) *schema {
	if s.open[t] {
		return &schema{Type: "object"}
	}
	s.open[t] = true
	defer delete(s.open, t)
	object := &schema{Type: "object", Properties: make(map[string]*schema), Additional: false}
	for _, f := range fieldsOf(t) {
		at := join(path, f.name)
		property := s.of(at, f.typ)
		if property == nil {
			continue
		}
		if object.Properties[f.name] != nil {
			s.fail(at, fmt.Errorf("two fields have this name"))
		}
		property.Description = cmp.Or(f.desc, property.Description)
		if f.fallback != nil {
			property.Default = f.fallback
			d := new(decoder)
			if d.value(at, f.fallback, reflect.New(f.typ).Elem()); d.errs != nil {
				s.fail(at, fmt.Errorf("its default: %w", d.errs[0]))
			}
		}
		if f.required {
			object.Required = append(object.Required, f.name)
		}
		object.Properties[f.name] = property
	}
	return object
}

func (s *schemas) fail(path string, err error) {
	if s.err == nil {
		s.err = fmt.Errorf("field %q: %w", path, err)
	}
}

// hint helps with an unknown name.
func hint(name string, fields []field) string {
	best, distance := "", 3 // more than two mistakes are another name
	var names []string
	for _, f := range fields {
		names = append(names, f.name)
		if d := distanceOf(strings.ToLower(name), strings.ToLower(f.name)); d < distance && d < len(f.name) {
			best, distance = f.name, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(", did you mean %q?", best)
	case names == nil:
		return ": there are none"
	}
	return ": there are " + strings.Join(names, ", ")
}

// distanceOf returns how many letters must be changed, added, removed or
// swapped with their neighbour to make b of a.
func distanceOf(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			change := 1
			if x[i-1] == y[j-1] {
				change = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}
