package sdk

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// decoder decodes settings. It continues after a mistake, so that a person sees
// all of them at once. Values do not appear in its errors: they may be secrets.
type decoder struct {
	errs []error
}

func (d *decoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, Invalid(path, format, args...))
}

// value decodes one JSON value, of correct syntax, into v. A null is not a value:
// a struct then has its defaults, and lacks what it requires.
func (d *decoder) value(path string, text json.RawMessage, v reflect.Value) {
	t := v.Type()
	null := string(text) == "null"
	switch {
	case null && t.Kind() == reflect.Struct && !readsItself(t):
		d.object(path, json.RawMessage("{}"), v)
	case null:
	case t == durationType:
		d.duration(path, text, v)
	case reflect.PointerTo(t).Implements(jsonUnmarshalerType):
		if err := v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text); err != nil {
			d.fail(path, "%v", err)
		}
	case reflect.PointerTo(t).Implements(textUnmarshalerType):
		var s string
		if json.Unmarshal(text, &s) != nil {
			d.wrongType(path, "text", text)
		} else if err := v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)); err != nil {
			d.fail(path, "%v", err)
		}
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(path, text, v.Elem())
	case t.Kind() == reflect.Struct:
		d.object(path, text, v)
	case t.Kind() == reflect.Map:
		d.mapping(path, text, v)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8, t.Kind() == reflect.Array:
		d.list(path, text, v)
	default:
		if err := json.Unmarshal(text, v.Addr().Interface()); err != nil {
			want := expected(t)
			if word := kindOf(text); word == "a number" && (t.Kind() == reflect.Int || t.Kind() == reflect.Uint) && t.Bits() == 32 {
				want += " that fits in 32 bits, as this program was built for"
			}
			d.wrongType(path, want, text)
		}
	}
}

func (d *decoder) wrongType(path, want string, text json.RawMessage) {
	d.fail(path, "must be %s, found %s", want, kindOf(text))
}

func (d *decoder) duration(path string, text json.RawMessage, v reflect.Value) {
	var s string
	if json.Unmarshal(text, &s) != nil {
		d.wrongType(path, expected(durationType), text)
		return
	}
	duration, err := time.ParseDuration(s)
	if err != nil {
		d.fail(path, "must be %s", expected(durationType))
		return
	}
	v.SetInt(int64(duration))
}

func (d *decoder) object(path string, text json.RawMessage, v reflect.Value) {
	fields := fieldsOf(v.Type())
	seen := make(map[string]bool)
	for _, m := range d.members(path, text) {
		at := slices.IndexFunc(fields, func(f field) bool { return f.name == m.name })
		if at < 0 {
			d.fail(join(path, m.name), "unknown setting%s", hint(m.name, fields))
			continue
		}
		if string(m.value) != "null" {
			d.value(join(path, m.name), m.value, v.FieldByIndex(fields[at].index))
			seen[m.name] = true
		}
	}
	for _, f := range fields {
		at := join(path, f.name)
		switch {
		case seen[f.name]:
		case f.fallback != nil:
			d.value(at, f.fallback, v.FieldByIndex(f.index))
		case f.required && !d.failed(at):
			d.fail(at, "is required")
		case f.typ.Kind() == reflect.Struct && !readsItself(f.typ):
			d.value(at, json.RawMessage("{}"), v.FieldByIndex(f.index)) // it may have defaults
		}
	}
}

func (d *decoder) mapping(path string, text json.RawMessage, v reflect.Value) {
	t := v.Type()
	v.Set(reflect.MakeMap(t))
	for _, m := range d.members(path, text) {
		value := reflect.New(t.Elem()).Elem()
		d.value(join(path, m.name), m.value, value)
		v.SetMapIndex(reflect.ValueOf(m.name).Convert(t.Key()), value)
	}
}

func (d *decoder) list(path string, text json.RawMessage, v reflect.Value) {
	var items []json.RawMessage
	if json.Unmarshal(text, &items) != nil {
		d.wrongType(path, expected(v.Type()), text)
		return
	}
	if v.Kind() == reflect.Slice {
		v.Set(reflect.MakeSlice(v.Type(), len(items), len(items)))
	} else if len(items) != v.Len() {
		d.fail(path, "must have %d items, found %d", v.Len(), len(items))
		return
	}
	for i, item := range items {
		d.value(fmt.Sprintf("%s[%d]", path, i), item, v.Index(i))
	}
}

type member struct {
	name  string
	value json.RawMessage
}

// members returns the members of an object. A duplicate name is a mistake: only
// one of the two can have been meant.
func (d *decoder) members(path string, text json.RawMessage) []member {
	if text[0] != '{' {
		d.wrongType(path, "an object", text)
		return nil
	}
	var all []member
	decoder := json.NewDecoder(bytes.NewReader(text))
	_, _ = decoder.Token() // the syntax has been checked
	for decoder.More() {
		token, _ := decoder.Token()
		m := member{name: fmt.Sprint(token)}
		if decoder.Decode(&m.value) != nil {
			break
		}
		if slices.ContainsFunc(all, func(other member) bool { return other.name == m.name }) {
			d.fail(join(path, m.name), "is there twice")
			continue
		}
		all = append(all, m)
	}
	return all
}

// expected describes the text of a value of the type.
func expected(t reflect.Type) string {
	if t == durationType {
		return `a duration such as "30s" or "5m"`
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		// The range of an int is that of the machine: the text is the same on all.
		if t.Bits() < 64 && t.Kind() != reflect.Int {
			return fmt.Sprintf("a whole number from %d to %d", -1<<(t.Bits()-1), 1<<(t.Bits()-1)-1)
		}
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if t.Bits() < 64 && t.Kind() != reflect.Uint && t.Kind() != reflect.Uintptr {
			return fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<t.Bits()-1)
		}
		return "a whole number that is not negative"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return "text in base64"
		}
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	}
	return "text"
}

// kindOf names the kind of a JSON value, without the value.
func kindOf(text json.RawMessage) string {
	switch text[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "text"
	case 't', 'f':
		return string(text)
	}
	if strings.ContainsAny(string(text), ".eE") {
		return "a number with a fraction or exponent"
	}
	return "a number"
}
