// Package config reads, checks and documents the settings of the sidecar. It
// starts nothing. Each part of the sidecar has a struct with its settings, in one
// file with their checks; the reference is generated from the structs.
//
// No other package reads the environment. They are handed what they need, so
// that several sidecars can run in one process.
package config

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Config holds every setting of the sidecar. [Load] reads it from the
// environment, and the reference (hookswitch config docs) is generated from it. A
// setting is a field with these tags:
//
//	env         the name of its variable
//	envDefault  its default; none if it may be left out
//	desc        one short sentence; a comment only says what that leaves out
//	example     a value to show, where the default does not show enough
//	reload      "true" if a reload applies a change; else it takes a restart
//	secret      "true" if it is never shown; "url" if it is shown without user,
//	            password and query. The variable NAME_FILE can then name a file
//	            that holds the value
//
// The UnmarshalText of a field's type says what is wrong with a value; it
// repeats the value only if that cannot be secret. [Config.Validate] checks what
// involves more than one field.
type Config struct {
	Receiving
	Storage
	Plugins
	Forwarding
	Retrying
	Admin
	Alerting
	Tracing

	UserID          string     `env:"HOOKSWITCH_USER_ID" envDefault:"00000000-0000-0000-0000-000000000000" desc:"user_id in the delivery records" example:"c9c0797e-901d-4349-a33c-c2c8f31a92c2"`
	ShutdownTimeout Duration   `env:"HOOKSWITCH_SHUTDOWN_TIMEOUT" envDefault:"20s" desc:"how long attempts under way may take to end after a signal to stop"`
	LogLevel        slog.Level `env:"HOOKSWITCH_LOG_LEVEL" envDefault:"info" desc:"debug, info, warn or error" reload:"true"`
	LogFormat       string     `env:"HOOKSWITCH_LOG_FORMAT" envDefault:"auto" desc:"text, json, or auto: text only on a terminal"`

	// Systemd holds what systemd passes to a service. None of it is a setting.
	Systemd Systemd `env:"-"`

	// loaded records the sources of the values; nil if they are not from Load.
	loaded *loaded
}

// Systemd holds the variables that systemd sets according to the unit.
type Systemd struct {
	StateDirectory string // STATE_DIRECTORY, for StateDirectory=
	NotifySocket   string // NOTIFY_SOCKET, for Type=notify
	WatchdogUsec   string // WATCHDOG_USEC, for WatchdogSec=
	WatchdogPID    string // WATCHDOG_PID, the process that has to show signs of life
}

// Load reads the environment, and what it leaves open from files of
// NAME=VALUE lines, of which a later one has precedence. It reports every bad
// value at once, as an [*Error], and never repeats one that may be secret.
//
// It does not require anything to be set. [Config.Validate] does, and reports
// the problems found by Load as well: a caller of both can ignore this error.
func Load(files ...string) (Config, error) { return From(os.Environ(), files...) }

// parse sets the fields of a struct from variables whose names have a prefix.
func parse(into any, prefix string, values map[string]string, problem *Error) {
	err := env.ParseWithOptions(into, env.Options{Environment: values, Prefix: prefix, FuncMap: parsers()})
	all, _ := errors.AsType[env.AggregateError](err)
	for _, err := range all.Errors {
		problem.add(variable(reflect.TypeOf(into).Elem(), prefix, err), describe(err))
	}
}

// variable returns the name of the variable that an error of env, which names
// the field, is about.
func variable(t reflect.Type, prefix string, err error) string {
	if pe, ok := errors.AsType[env.ParseError](err); ok {
		if f, ok := t.FieldByName(pe.Name); ok {
			name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
			return prefix + name
		}
	}
	return prefix + t.Name()
}

// parsers replace those of env, whose numbers have 32 bits, whose booleans know
// neither yes nor on, and whose lists keep the spaces after commas.
func parsers() map[reflect.Type]env.ParserFunc {
	return map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[int](): func(s string) (any, error) { return strconv.Atoi(strings.TrimSpace(s)) },
		reflect.TypeFor[int64](): func(s string) (any, error) {
			return strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		},
		reflect.TypeFor[string](): func(s string) (any, error) { return strings.TrimSpace(s), nil },
		reflect.TypeFor[bool](): func(s string) (any, error) {
			switch s = strings.ToLower(strings.TrimSpace(s)); s {
			case "yes", "on":
				return true, nil
			case "no", "off":
				return false, nil
			}
			return strconv.ParseBool(s)
		},
	}
}

// describe returns what is wrong with a value, without repeating it.
func describe(err error) string {
	pe, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return err.Error() // of a tag; a test notices
	}
	switch kind := pe.Type.Kind(); {
	case pe.Type == reflect.TypeFor[slog.Level]():
		return "is not a level: use debug, info, warn or error"
	case kind == reflect.Bool:
		return "is neither true nor false: write true or false"
	case kind >= reflect.Int && kind <= reflect.Uint64 && !isText(pe.Type):
		return "is not a whole number, or too large: write it like 16"
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "is not a number: write it like 0.5"
	}
	return pe.Err.Error()
}

// Environ returns the variables of this process, for code around the sidecar: to
// start the app, and to look for NO_COLOR.
func Environ() []string { return os.Environ() }
