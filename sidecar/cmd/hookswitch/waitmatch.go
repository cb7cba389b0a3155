package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
)

// match is a condition on one field of a body.
type match struct{ path, value string }

func (m match) String() string { return m.path + "=" + m.value }

func parseMatches(conditions []string) (list []match, err error) {
	for _, text := range conditions {
		path, value, found := strings.Cut(text, "=")
		if !found || slices.Contains(strings.Split(path, "."), "") {
			return nil, usageError("--match %q: write it as PATH=VALUE, such as call_control_id=v3:… or payload.to.0.status=delivered", text)
		}
		list = append(list, match{path, value})
	}
	return list, nil
}

// differs returns "" if an event fulfils the condition, and otherwise what it has
// instead.
func (m match) differs(e *webhook.Event) string {
	values, why := fieldOf(e, m.path)
	switch {
	case why != "":
		return why
	case slices.Contains(values, m.value):
		return ""
	}
	return fmt.Sprintf("%s=%s", m.path, cut(oneLine(values[0]), 100))
}

// fieldOf returns the value of a field as text, in a form perhaps several, or why
// there is none.
func fieldOf(e *webhook.Event, path string) (values []string, why string) {
	if e.Ambiguous != "" {
		return nil, "a body that can be read in two ways: " + e.Ambiguous
	}
	if e.Shape == webhook.ShapeForm {
		if form, err := url.ParseQuery(string(e.Raw)); err == nil && !strings.HasPrefix(strings.TrimSpace(string(e.Raw)), "{") {
			if len(form[path]) == 0 {
				return nil, absent(path, path, slices.Collect(maps.Keys(form)))
			}
			return form[path], ""
		}
	}
	names := strings.Split(path, ".")
	here, known := start(e, names[0])
	if here == nil {
		if len(known) == 0 {
			return nil, "a body that is not a JSON object"
		}
		return nil, absent(path, names[0], known)
	}
	for i, name := range names {
		switch node := here.(type) {
		case map[string]any:
			next, found := node[name]
			if !found {
				return nil, absent(path, name, slices.Collect(maps.Keys(node)))
			}
			here = next
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(node) {
				return nil, fmt.Sprintf("no %s: %s is a list of %d", path, strings.Join(names[:i], "."), len(node))
			}
			here = node[index]
		default:
			return nil, fmt.Sprintf("no %s: %s is a plain value", path, strings.Join(names[:i], "."))
		}
	}
	switch v := here.(type) {
	case map[string]any:
		return nil, fmt.Sprintf("an object in %s: name a field of it, such as %s.%s", path, path, first(slices.Sorted(maps.Keys(v))))
	case []any:
		return nil, fmt.Sprintf("a list in %s: name an element, such as %s.0", path, path)
	case nil:
		return []string{"null"}, ""
	}
	return []string{fmt.Sprint(here)}, ""
}

func first(names []string) string {
	if len(names) == 0 {
		return "x"
	}
	return names[0]
}

// start returns the object in which a path begins: the body, "data" or the payload,
// whichever has its first name. If none has, it returns the names there are.
func start(e *webhook.Event, name string) (object any, names []string) {
	decode := func(text []byte) (object map[string]any) {
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // as it is written
		_ = d.Decode(&object)
		return object
	}
	root := decode(e.Raw)
	data, _ := root["data"].(map[string]any)
	for _, o := range []map[string]any{root, data, decode(e.Payload)} {
		if _, has := o[name]; has {
			return o, nil
		}
		names = slices.AppendSeq(names, maps.Keys(o))
	}
	return nil, names
}

// absent says that there is no field, and which one may have been meant.
func absent(path, name string, names []string) string {
	slices.Sort(names)
	if guess := spelling.Closest(name, names); guess != "" {
		return fmt.Sprintf("no %s: did you mean %q?", path, guess)
	}
	return "no " + path
}
