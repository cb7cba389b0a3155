package config

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/hookswitch/hookswitch/sidecar/internal/untrusted"
)

// Error lists all problems of a configuration.
type Error struct{ Problems []Problem }

// Problem is one problem of a configuration. It holds nothing secret.
type Problem struct {
	Variable string `json:"variable"`        // the name of a variable, or of a file of variables
	Value    string `json:"value,omitempty"` // as it was set; empty if it was not, or may be secret
	Text     string `json:"text"`            // what is wrong, and the fix
}

// String returns a line such as HOOKSWITCH_TOLERANCE="5" needs a unit.
func (p Problem) String() string { return p.Subject() + " " + p.Text }

// Subject returns the variable with its value, if that may be shown.
func (p Problem) Subject() string {
	if p.Value == "" {
		return p.Variable
	}
	return fmt.Sprintf("%s=%q", p.Variable, untrusted.Clip(p.Value, maxShown))
}

// maxShown is how much of a value is shown.
const maxShown = 60

// NewError returns an Error about one variable.
func NewError(variable, text string) *Error {
	return &Error{[]Problem{{Variable: variable, Text: text}}}
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return "configuration: " + strings.Join(lines, "; ")
}

// add notes a problem, one for each variable: a value that cannot be read,
// perhaps from its file, is not also too small.
func (e *Error) add(variable, text string) {
	known := func(p Problem) bool { return p.Variable == variable || p.Variable == variable+"_FILE" }
	if !slices.ContainsFunc(e.Problems, known) {
		e.Problems = append(e.Problems, Problem{Variable: variable, Text: text})
	}
}

// join adds the problems of another error.
func (e *Error) join(err error) {
	if other, ok := errors.AsType[*Error](err); ok {
		for _, p := range other.Problems {
			e.add(p.Variable, p.Text)
		}
	}
}

// result returns e with the values of c that may be shown, in the order of the
// fields, or nil if there are no problems.
func (e *Error) result(c *Config) error {
	if len(e.Problems) == 0 {
		return nil
	}
	order := make(map[string]int)
	for i, s := range c.settings() {
		order[s.variable] = i + 1
	}
	for i := range e.Problems {
		p := &e.Problems[i]
		if n := order[p.Variable]; n > 0 && p.Value == "" {
			p.Value = c.settings()[n-1].asSet(c.loaded)
		}
	}
	slices.SortStableFunc(e.Problems, func(a, b Problem) int { return cmp.Compare(order[a.Variable], order[b.Variable]) })
	return e
}

// redactURL returns a URL without the parts that may be secret: user, password,
// query and fragment. If text is not quite a URL, it returns only stars.
func redactURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Opaque != "" && u.Scheme != "file" || u.Host == "" && u.Scheme != "file" {
		return stars
	}
	if u.Opaque != "" {
		return u.Scheme + ":" + u.Opaque
	}
	shown := u.Scheme + "://"
	if u.Scheme == "file" && u.Host == "" {
		shown = u.Scheme + ":"
	}
	if u.User != nil {
		shown += stars + "@"
	}
	shown += u.Host + u.EscapedPath()
	if u.RawQuery != "" {
		shown += "?" + stars
	}
	return shown
}

// stars stand for what is secret.
const stars = "***"
