package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
)

// setting is a field of a Config, or of one of its routes.
type setting struct {
	variable string
	field    reflect.StructField // with the tags that Config describes
	value    reflect.Value
}

// settings returns all settings of c in the order of the fields.
func (c *Config) settings() []setting {
	var list []setting
	v := reflect.ValueOf(c).Elem()
	for _, f := range reflect.VisibleFields(v.Type()) {
		if f.Name == "Routes" {
			for i := range c.Routes {
				r := reflect.ValueOf(&c.Routes[i]).Elem()
				list = append(list, fields(r, c.Routes[i].prefix())...)
			}
			continue
		}
		list = append(list, fieldOf(v, f, "")...)
	}
	return list
}

// Format writes the settings without what is secret, whatever the verb.
func (c Config) Format(w fmt.State, _ rune) {
	for _, s := range c.settings() {
		fmt.Fprintf(w, "%s=%q ", s.variable, s.current())
	}
}

// MarshalJSON returns the settings without what is secret.
func (c Config) MarshalJSON() ([]byte, error) {
	values := make(map[string]string)
	for _, s := range c.settings() {
		values[s.variable] = s.current()
	}
	return json.Marshal(values)
}

func fields(v reflect.Value, prefix string) (list []setting) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		list = append(list, fieldOf(v, f, prefix)...)
	}
	return list
}

// fieldOf returns the setting of a field, or none if it has no variable.
func fieldOf(v reflect.Value, f reflect.StructField, prefix string) []setting {
	name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
	if name == "" || name == "-" {
		return nil
	}
	return []setting{{variable: prefix + name, field: f, value: v.FieldByIndex(f.Index)}}
}

func (s setting) tag(name string) string { return s.field.Tag.Get(name) }

// isSecret reports whether the value, or a part of it, may not be shown.
func (s setting) isSecret() bool { return s.tag("secret") != "" }

// fileVariable returns the variable that names a file with the value.
func (s setting) fileVariable() string { return s.variable + "_FILE" }

// shown returns a text of the setting without what is secret.
func (s setting) shown(text string) string {
	switch {
	case s.field.Name == "PluginEnv": // names; but somebody may have written values
		items := strings.Split(text, ",")
		for i := range items {
			items[i], _, _ = strings.Cut(items[i], "=")
		}
		return strings.Join(items, ",")
	case text == "" || !s.isSecret():
		return text
	case s.tag("secret") == "url":
		return redactURL(text)
	}
	return stars
}

// asSet returns the value for an error: as it was written, if that is known,
// and nothing if it is secret.
func (s setting) asSet(l *loaded) string {
	text := ""
	if !s.value.IsZero() {
		text = s.text()
	}
	if l != nil && l.values[s.variable] != "" && l.sources[s.variable].Kind != "flag" {
		text = l.values[s.variable]
	}
	if text = s.shown(text); text == stars {
		return ""
	}
	return text
}

// current returns the value that the setting has, without what is secret.
func (s setting) current() string {
	if r, ok := s.value.Interface().(interface{ Redacted() string }); ok {
		return r.Redacted()
	}
	return s.shown(s.text())
}

// text returns the value as its variable would have it, secret or not.
func (s setting) text() string { return format(s.value) }

func format(v reflect.Value) string {
	switch t := v.Interface().(type) {
	case slog.Level:
		return strings.ToLower(t.String())
	case encoding.TextMarshaler:
		if text, err := t.MarshalText(); err == nil {
			return string(text)
		}
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Slice:
		items := make([]string, v.Len())
		for i := range items {
			items[i] = format(v.Index(i))
		}
		return strings.Join(items, ",")
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return fmt.Sprint(v.Interface())
}

// isText reports whether values of type t parse themselves.
func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
