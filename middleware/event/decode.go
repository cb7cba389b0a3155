package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Decode decodes a payload into v, a pointer to its Go type. It decodes all
// that it can; the error, if there is one, is a [*FieldError] that names the
// fields which have a JSON type that nobody expected and were left empty. The
// payload must be valid JSON, as Event.Payload is: parts that v has no field
// for are not looked at.
//
// The texts of a payload of up to 32 KiB are parts of one string, which stays
// in memory as long as one of them is kept: strings.Clone those that are kept
// for long.
func Decode(payload []byte, v any) error {
	before := odd.Load()
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() && howOf(p.Type().Elem()) == howStruct {
		if decodeFast(bytes.TrimSpace(payload), p.Elem()) && odd.Load() == before {
			return nil // nearly always
		}
	}
	err := json.Unmarshal(payload, v)
	if err == nil && odd.Load() == before {
		return nil
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.UseNumber()
	if decodeErr := decoder.Decode(&tree); decodeErr != nil {
		return fmt.Errorf("event: the payload is no JSON: %w", decodeErr)
	}
	var e FieldError
	e.compare("", reflect.ValueOf(v), tree)
	if typeError, ok := err.(*json.UnmarshalTypeError); ok {
		if field := asTagged(reflect.TypeOf(v), typeError.Field); !slices.Contains(e.Fields, field) {
			e.Fields = append(e.Fields, field)
		}
	}
	if len(e.Fields) == 0 {
		return nil // a surprise in a payload that was decoded at the same time
	}
	slices.Sort(e.Fields)
	return &e
}

// asTagged returns the path of a field of t as the tags of the fields name it.
// By its version, encoding/json tells the name as it was sent, or with the
// embedded struct that the field is promoted from.
func asTagged(t reflect.Type, path string) string {
	var names []string
	for name := range strings.SplitSeq(path, ".") {
		for t != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
			t = t.Elem()
		}
		if t == nil || t.Kind() != reflect.Struct {
			names = append(names, name)
			continue
		}
		f, tag := taggedField(t, name)
		if tag != "" {
			names = append(names, tag)
		}
		if f.Type != nil {
			t = f.Type
		}
	}
	return strings.Join(names, ".")
}

// taggedField returns the field of a struct that JSON or an error calls name, and
// what its tag calls it: nothing for an embedded struct.
func taggedField(t reflect.Type, name string) (found reflect.StructField, tag string) {
	found, tag = reflect.StructField{}, name
	for _, f := range reflect.VisibleFields(t) {
		switch of, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case of == name:
			return f, of
		case of != "" && of != "-" && strings.EqualFold(of, name):
			found, tag = f, of
		case of == "" && f.Anonymous && f.Name == name && found.Type == nil:
			found, tag = f, ""
		}
	}
	return found, tag
}

// FieldError names the fields of a payload that were left empty because their
// JSON type is a surprising one. The others are decoded.
type FieldError struct {
	Fields []string // paths such as "to.0.carrier", in alphabetical order
}

func (e *FieldError) Error() string {
	return "event: fields of a surprising type: " + strings.Join(e.Fields, ", ")
}

// odd counts values that the gentle types could not take. They cannot
// return an error, since encoding/json would give up the whole payload; so
// Decode looks at the payload again when the count has changed meanwhile. That
// other payloads are decoded at the same time costs it a look for nothing.
var odd atomic.Uint64

// gently decodes a part of a payload as far as possible.
func gently(b []byte, v any) {
	if json.Unmarshal(b, v) != nil {
		odd.Add(1)
	}
}

// noText notes a value that is not the text that was expected.
func noText(value []byte) {
	if value[0] != 'n' {
		odd.Add(1)
	}
}

// noObject notes a value that is not the object that was expected.
func noObject(value []byte) {
	if len(value) > 0 && value[0] != 'n' {
		odd.Add(1)
	}
}

// compare notes each field that is empty in v although the payload has
// something for it.
func (e *FieldError) compare(path string, v reflect.Value, sent any) {
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.IsZero() {
		if path != "" && !blank(sent) {
			e.Fields = append(e.Fields, path)
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		if object, ok := sent.(map[string]any); ok {
			e.compareFields(path, v, object)
		}
	case reflect.Slice:
		if list, ok := sent.([]any); ok && len(list) == v.Len() {
			for i, item := range list {
				e.compare(join(path, strconv.Itoa(i)), v.Index(i), item)
			}
		}
	}
}

func (e *FieldError) compareFields(path string, v reflect.Value, object map[string]any) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous && name == "":
			e.compareFields(path, v.Field(i), object)
		case name != "" && name != "-" && field.IsExported():
			if sent, there := object[name]; there {
				e.compare(join(path, name), v.Field(i), sent)
			}
		}
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// blank reports whether a JSON value is fairly represented by an empty field.
func blank(sent any) bool {
	switch s := sent.(type) {
	case nil:
		return true
	case bool:
		return !s
	case string:
		return s == "" || s == "0" || strings.EqualFold(s, "false")
	case json.Number:
		f, err := s.Float64()
		return err == nil && f == 0
	case []any:
		return !slices.ContainsFunc(s, func(item any) bool { return !blank(item) })
	case map[string]any:
		for _, item := range s {
			if !blank(item) {
				return false
			}
		}
	}
	return true
}
