package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Configuration is how a plugin takes its settings; make one with [Settings].
type Configuration struct {
	schema json.RawMessage
	apply  func(ctx context.Context, settings []byte) (any, error)
}

// Applied holds the part of the settings that is for the sidecar.
type Applied struct {
	Events      []string // patterns of the events that the plugin wants; nil: those of its Mux
	MaxInFlight int      // how many it handles at the same time; 0: as the Plugin says
}

// Settings makes the Configuration of a plugin whose settings are a T, a
// struct in most cases. configure is called once, before the first event, and
// is the place to open what the handlers need. With an error the plugin gets no
// events; the text goes to the operator, and the sidecar tries again later.
//
// The settings are the file NAME.json in the plugin directory, an object:
//
//	type settings struct {
//		URL     string        `json:"url" required:"true" desc:"of the CRM"`
//		Timeout time.Duration `json:"timeout" default:"5s" desc:"for one call"`
//		Tags    []string      `json:"tags"`
//	}
//
// Names are those of encoding/json, and are matched exactly. A time.Duration is
// text such as "5s"; types of your own are read by UnmarshalText or
// UnmarshalJSON. The tag required asks for a value, default gives one when there
// is none (text, or JSON for what is not text), and desc describes it.
//
// Every mistake is reported, not only the first: an unknown name, a value of
// another type, a missing one. A struct with a method Validate() error then
// checks itself: it returns a result of [Invalid], several with errors.Join, or
// any error about the whole.
//
// Settings can choose the events: if T has a method Events() []string, the
// plugin gets only the events of these patterns, which its Mux should have
// handlers for. In the same way a method MaxInFlight() int overrides
// [Plugin.MaxInFlight]. nil and 0 change nothing.
//
// Use *struct{} for a plugin without settings that opens something, and
// *json.RawMessage to read them yourself. Settings panics if T has a field of a
// type that has no JSON.
func Settings[T any](configure func(ctx context.Context, settings *T) error) *Configuration {
	t := reflect.TypeFor[T]()
	schema, err := schemaOf(t)
	if err != nil {
		panic("sdk: Settings: " + err.Error())
	}
	return &Configuration{
		schema: schema,
		apply: func(ctx context.Context, text []byte) (any, error) {
			settings := new(T)
			if err := decodeSettings(text, reflect.ValueOf(settings).Elem()); err != nil {
				return nil, err
			}
			if configure == nil {
				return settings, nil
			}
			return settings, configure(ctx, settings)
		},
	}
}

// Apply reads the settings and calls the plugin's function with them, as before
// the first event. An error about fields is a [FieldError], or several joined.
// An empty text and null count as no settings.
func (c *Configuration) Apply(ctx context.Context, settings []byte) (Applied, error) {
	v, err := c.apply(ctx, settings)
	if err != nil {
		return Applied{}, err
	}
	var a Applied
	if chooser, ok := v.(interface{ Events() []string }); ok {
		a.Events = chooser.Events()
		for _, pattern := range a.Events {
			if err := event.CheckPattern(pattern); err != nil {
				return Applied{}, err
			}
		}
	}
	if chooser, ok := v.(interface{ MaxInFlight() int }); ok {
		a.MaxInFlight = max(chooser.MaxInFlight(), 0)
	}
	return a, nil
}

// Schema returns a JSON Schema of the settings, for people and editors.
func (c *Configuration) Schema() json.RawMessage { return c.schema }

// FieldError is a mistake in one field of the settings.
type FieldError struct {
	Field   string // where: "smtp.port", "hosts[2].name"; empty for all of it
	Message string
}

// Error returns the field and the message.
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// Invalid makes the error for one field of the settings, for Validate methods
// and functions of [Settings]. The field is named as in the file, in Validate
// relative to the struct being validated.
func Invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Message: fmt.Sprintf(format, args...)}
}

// FieldErrors splits an error of [Configuration.Apply]: one for each wrong
// field. An error that is not about a field has an empty name. It returns nil
// for nil.
func FieldErrors(err error) []FieldError {
	if err == nil {
		return nil
	}
	switch e := err.(type) {
	case *FieldError:
		return []FieldError{*e}
	case interface{ Unwrap() []error }:
		var all []FieldError
		for _, err := range e.Unwrap() {
			all = append(all, FieldErrors(err)...)
		}
		return all
	}
	return []FieldError{{Message: err.Error()}}
}

// decodeSettings decodes the text into v, strictly, fills in defaults and
// validates. It returns everything that is wrong.
func decodeSettings(text []byte, v reflect.Value) error {
	d := new(decoder)
	text = bytes.TrimSpace(text)
	if len(text) > 0 {
		if err := checkSyntax(text); err != nil {
			return err
		}
	}
	if empty := len(text) == 0 || string(text) == "null"; empty && indirect(v.Type()).Kind() == reflect.Struct && !readsItself(v.Type()) {
		text = []byte("{}") // what is required is still required
	}
	if len(text) > 0 {
		d.value("", text, v)
	}
	d.validate("", v)
	return errors.Join(d.errs...)
}

// checkSyntax reports where the text stops being JSON.
func checkSyntax(text []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(text, &any)
	if err == nil {
		return nil
	}
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok {
		return &FieldError{Message: "the settings are not JSON: " + err.Error()}
	}
	before := text[:min(int(max(syntax.Offset-1, 0)), len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	return &FieldError{Message: fmt.Sprintf("the settings are not JSON: line %d, column %d: %v", line, column, syntax)}
}

// validate calls every Validate method, those of inner structs first. Errors
// about a value that could not be decoded are left out.
func (d *decoder) validate(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			d.validate(path, v.Elem())
		}
		return
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			d.validate(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			held := reflect.New(v.Type().Elem()).Elem() // Validate may have a pointer receiver
			held.Set(v.MapIndex(key))
			d.validate(join(path, fmt.Sprint(key)), held)
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()) {
			d.validate(join(path, f.name), v.FieldByIndex(f.index))
		}
	default:
		return
	}
	if !v.CanAddr() {
		return
	}
	validator, ok := v.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return
	}
	for _, e := range FieldErrors(validator.Validate()) {
		at := join(path, e.Field)
		if !d.failed(at) {
			d.fail(at, "%s", e.Message)
		}
	}
}

// failed reports whether the value at the path, or one in or around it, has
// been found wrong.
func (d *decoder) failed(path string) bool {
	for _, err := range d.errs {
		if e, ok := errors.AsType[*FieldError](err); ok && (within(e.Field, path) || within(path, e.Field)) {
			return true
		}
	}
	return false
}

// within reports whether the path leads to the other or into it.
func within(path, other string) bool {
	rest, ok := strings.CutPrefix(path, other)
	return ok && (rest == "" || other == "" || rest[0] == '.' || rest[0] == '[')
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}
