package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
)

// loaded holds what Load knows besides the values.
type loaded struct {
	files    []string
	environ  []string          // of the process, and what files add to it
	values   map[string]string // by variable, also those of NAME_FILE
	sources  map[string]source // by variable
	problems []Problem
	warnings []string
}

// source says where a value comes from.
type source struct {
	Kind string // "environment", "file", "flag" or "default"
	Name string // of the file or the flag
}

// String returns the kind, and the name if there is one.
func (s source) String() string {
	if s.Name == "" {
		return s.Kind
	}
	return s.Kind + " " + s.Name
}

// Flag records that a flag replaced the value of a variable.
func (c *Config) Flag(variable, flag string) {
	if c.loaded != nil {
		c.loaded.sources[variable] = source{Kind: "flag", Name: flag}
	}
}

// Warnings returns oddities of the variables that keep nothing from working: an
// unknown name, quotes that have become part of a value.
func (c *Config) Warnings() []string {
	if c.loaded == nil {
		return nil
	}
	return c.loaded.warnings
}

// source returns where the value of a variable comes from.
func (c *Config) source(variable string) source {
	if c.loaded != nil {
		if s, ok := c.loaded.sources[variable]; ok && (s.Kind == "flag" || c.loaded.values[variable] != "") {
			return s
		}
	}
	return source{Kind: "default"}
}

// own returns a variable of the process, which no file of variables can set.
func (l *loaded) own(variable string) string {
	if l.sources[variable].Kind != "environment" {
		return ""
	}
	return l.values[variable]
}

// problems returns the problems that Load found.
func (c *Config) problems() *Error {
	e := new(Error)
	if c.loaded != nil {
		e.Problems = slices.Clone(c.loaded.problems)
	}
	return e
}

// From is Load with the given environment.
func From(environ []string, files ...string) (Config, error) {
	l := &loaded{files: files, values: make(map[string]string), sources: make(map[string]source)}
	c := Config{loaded: l}
	problem := new(Error)
	for _, file := range files {
		l.readEnvFile(file, problem)
	}
	for _, item := range environ {
		// A variable that is set but empty counts as not set, so that a
		// compose file can pass on one that may not be there.
		if name, value, _ := strings.Cut(item, "="); value != "" || l.values[name] == "" {
			l.values[name], l.sources[name] = value, source{Kind: "environment"}
		}
	}
	c.Systemd = Systemd{l.own("STATE_DIRECTORY"), l.own("NOTIFY_SOCKET"), l.own("WATCHDOG_USEC"), l.own("WATCHDOG_PID")}
	for name, value := range l.values {
		l.environ = append(l.environ, name+"="+value)
	}
	slices.Sort(l.environ)

	for _, n := range routeNumbers(l.values) {
		c.Routes = append(c.Routes, Route{Number: n})
	}
	for _, s := range c.settings() {
		if s.isSecret() {
			l.readSecret(s, problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(retired)) {
		if l.values[name] != "" {
			problem.add(name, retired[name])
		}
	}
	quoted := quotes(&c, l.values)
	parse(&c, "", l.values, problem)
	for i := range c.Routes {
		parse(&c.Routes[i], c.Routes[i].prefix(), l.values, problem)
	}
	l.warnings = append(quotesLeft(quoted, problem), unknown(&c, l.values)...)
	err := problem.result(&c)
	l.problems = problem.Problems
	return c, err
}

// retired explains how to replace variables that once were settings.
var retired = map[string]string{
	"HOOKSWITCH_PLUGIN_ALLOW_ROOT": "is no longer a setting: remove it, and set HOOKSWITCH_PLUGIN_USER=root if plugins should run as root",
}

// routePrefix begins the variables of routes.
const routePrefix = "HOOKSWITCH_ROUTE_"

// routeNumbers returns the numbers of the routes for which something is set.
// They need not be consecutive: commenting out one route must not lose those
// after it.
func routeNumbers(values map[string]string) []int {
	numbers := make(map[int]bool)
	for name, value := range values {
		if n, _, ok := cutRoute(name); ok && value != "" {
			numbers[n] = true
		}
	}
	return slices.Sorted(maps.Keys(numbers))
}

// cutRoute splits HOOKSWITCH_ROUTE_3_TO into 3 and TO.
func cutRoute(name string) (n int, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, routePrefix)
	if !ok {
		return 0, "", false
	}
	digits, rest, ok := strings.Cut(name, "_")
	if n, err := strconv.Atoi(digits); ok && err == nil && n >= 0 && strconv.Itoa(n) == digits {
		return n, rest, true
	}
	return 0, "", false
}

// maxSecret is more than any secret has.
const maxSecret = 1 << 20

// readSecret reads the file that the variable NAME_FILE of a secret names.
func (l *loaded) readSecret(s setting, problem *Error) {
	path := strings.TrimSpace(l.values[s.fileVariable()])
	if path == "" {
		return
	}
	fail := func(text string) {
		problem.Problems = append(problem.Problems, Problem{Variable: s.fileVariable(), Value: path, Text: text})
	}
	if l.values[s.variable] != "" {
		fail("is set as well as " + s.variable + ": set one of the two")
		return
	}
	info, err := os.Stat(path)
	if err == nil && info.Size() > maxSecret {
		err = fmt.Errorf("it has %d bytes, and a secret at most %d", info.Size(), maxSecret)
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		fail("cannot be read: " + cause(err) + ": give the path of a file that " + s.variable + " can be read from")
		return
	}
	value := strings.TrimRight(string(text), "\r\n")
	if value == "" {
		fail("is an empty file: write the value of " + s.variable + " into it")
		return
	}
	l.values[s.variable], l.sources[s.variable] = value, source{Kind: "file", Name: path}
}

// cause returns an error of the file system without the path.
func cause(err error) string {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
