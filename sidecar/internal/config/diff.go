package config

import (
	"reflect"
	"slices"
)

// Merge returns c with those settings of next that can change at run time, and
// the names of the changed settings: those that can, and those that take a
// restart.
func (c *Config) Merge(next *Config) (merged Config, changed, restart []string) {
	merged = *c
	old, all := c.byName(), next.byName()
	merged.loaded = c.loaded.merge(next.loaded, func(variable string) bool {
		_, _, route := cutRoute(variable)
		s, ok := all[variable]
		return route || ok && s.tag("reload") != ""
	})
	for name, s := range all {
		before, ok := old[name]
		switch {
		case ok && equal(before.value, s.value) || !ok && s.isDefault():
		case s.tag("reload") != "":
			changed = append(changed, name)
		default:
			restart = append(restart, name)
		}
	}
	for name, s := range old {
		if _, ok := all[name]; !ok && !s.isDefault() {
			changed = append(changed, name) // of a removed route
		}
	}
	slices.Sort(changed)
	slices.Sort(restart)
	merged.Routes = next.Routes
	for _, s := range next.settings() {
		if _, _, route := cutRoute(s.variable); !route && s.tag("reload") != "" {
			reflect.ValueOf(&merged).Elem().FieldByIndex(s.field.Index).Set(s.value)
		}
	}
	return merged, changed, restart
}

// byName returns the settings by their variables.
func (c *Config) byName() map[string]setting {
	all := make(map[string]setting)
	for _, s := range c.settings() {
		all[s.variable] = s
	}
	return all
}

// isDefault reports whether the setting has its default.
func (s setting) isDefault() bool { return s.value.IsZero() || s.text() == s.tag("envDefault") }

// equal reports whether two values are the same setting.
func equal(a, b reflect.Value) bool {
	if a, ok := a.Interface().(Keys); ok {
		b, ok := b.Interface().(Keys)
		return ok && reflect.DeepEqual(a.Ring.Keys(), b.Ring.Keys())
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// merge returns l with the values and sources of the variables that next changes.
func (l *loaded) merge(next *loaded, changes func(variable string) bool) *loaded {
	if l == nil || next == nil {
		return next
	}
	merged := &loaded{files: l.files, environ: l.environ, warnings: next.warnings,
		values: make(map[string]string), sources: make(map[string]source)}
	for _, from := range []*loaded{l, next} {
		for name, value := range from.values {
			if changes(name) == (from == next) {
				merged.values[name], merged.sources[name] = value, from.sources[name]
			}
		}
	}
	return merged
}
