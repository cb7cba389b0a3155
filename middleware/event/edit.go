package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Change is a change of one field of a body; see [Edit].
type Change struct {
	// Path names the field, with dots: "payload.to.0.status". It is relative
	// to "data" unless it begins with a member of the body itself. In a form
	// it is the name of the field.
	Path string

	// Value replaces what is there. It is anything that has a JSON form, or
	// a [Literal].
	Value any
}

// Literal is a value given as text, as on a command line. Where it replaces
// text it is that text; elsewhere it is JSON if it can be read as such ("5",
// "true", "null"), and otherwise text.
type Literal string

// Edit returns a copy of a body with some fields changed or added, for samples
// in tests and tools. JSON is printed as Telnyx prints it: names in
// alphabetical order, indented by two, with a line end.
func Edit(body []byte, contentType string, changes ...Change) ([]byte, error) {
	if strings.HasPrefix(contentType, "application/x-www-form-urlencoded") {
		return editForm(body, changes)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // big integers stay exact
	var root map[string]any
	if err := decoder.Decode(&root); err != nil {
		return nil, fmt.Errorf("event: edit: the body is no JSON object: %w", err)
	}
	for _, c := range changes {
		if err := set(root, c); err != nil {
			return nil, fmt.Errorf("event: edit %q: %w", c.Path, err)
		}
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("event: edit: %w", err)
	}
	return out.Bytes(), nil
}

func editForm(body []byte, changes []Change) ([]byte, error) {
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fmt.Errorf("event: edit: the body is not a form: %w", err)
	}
	for _, c := range changes {
		if c.Path == "" {
			return nil, fmt.Errorf("event: edit: a field without a name")
		}
		form.Set(c.Path, fmt.Sprint(c.Value))
	}
	return []byte(form.Encode()), nil
}

// set makes one change, and creates the objects on the path to it if needed.
func set(root map[string]any, c Change) error {
	path := strings.Split(c.Path, ".")
	var here any = root
	if data, ok := root["data"].(map[string]any); ok {
		if _, top := root[path[0]]; !top {
			here = data
		}
	}
	for i, name := range path {
		last := i == len(path)-1
		switch node := here.(type) {
		case map[string]any:
			if name == "" {
				return fmt.Errorf("a name in the path is empty")
			}
			if last {
				node[name] = valueOf(node[name], c.Value)
				return nil
			}
			if node[name] == nil {
				node[name] = map[string]any{}
			}
			here = node[name]
		case []any:
			index, err := strconv.Atoi(name)
			if err != nil || index < 0 || index >= len(node) {
				return fmt.Errorf("%q is not an index of an array of %d", name, len(node))
			}
			if last {
				node[index] = valueOf(node[index], c.Value)
				return nil
			}
			here = node[index]
		default:
			return fmt.Errorf("%q is inside a plain value", name)
		}
	}
	return nil
}

func valueOf(old, value any) any {
	text, ok := value.(Literal)
	if !ok {
		return value
	}
	if _, isText := old.(string); isText {
		return string(text)
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	var v any
	if decoder.Decode(&v) != nil || decoder.More() {
		return string(text)
	}
	return v
}
