package sidecar

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/google/uuid"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
	"github.com/hookswitch/hookswitch/sidecar/internal/telemetry"
)

// Config is every setting of the sidecar. [LoadConfig] reads it from the
// environment; the comment of a field is its documentation.
type Config struct {
	// PublicKey are the keys that webhooks are signed with, as shown in
	// Mission Control. Several are separated by commas, each with an optional
	// label ("new:KEY,old:KEY"). Required.
	PublicKey Keys `env:"TELNYX_PUBLIC_KEY"`

	// Listen is the address that receives webhooks. Port 0 picks a free one.
	Listen string `env:"HOOKSWITCH_LISTEN" envDefault:":8080"`

	// Paths are the paths on Listen that webhooks are POSTed to.
	Paths []string `env:"HOOKSWITCH_PATHS" envDefault:"/webhooks"`

	// Tolerance is how far a timestamp may lie in the past or the future.
	Tolerance Duration `env:"HOOKSWITCH_TOLERANCE" envDefault:"5m"`

	// Store is where events are kept: "file:DIR" for a directory of this
	// machine. The default is .hookswitch in the working directory, or the
	// state directory that systemd provides.
	Store string `env:"HOOKSWITCH_STORE"`

	// StateDirectory is set by systemd (StateDirectory=).
	StateDirectory string `env:"STATE_DIRECTORY"`

	// PluginDir is the folder whose executables are started as plugins. A
	// folder that does not exist has none.
	PluginDir string `env:"HOOKSWITCH_PLUGIN_DIR" envDefault:"plugins"`

	// PluginEnv names variables that plugins may see. They inherit nothing
	// else but PATH, HOME and their like.
	PluginEnv []string `env:"HOOKSWITCH_PLUGIN_ENV"`

	// ForwardTo is the URL of an HTTP app that every event is POSTed to,
	// signed anew with the sidecar's own key.
	ForwardTo string `env:"HOOKSWITCH_FORWARD_TO"`

	// RetrySchedule are the waits between the attempts at a target, each
	// spread by half of itself up and down. After the last the job is dead.
	RetrySchedule Schedule `env:"HOOKSWITCH_RETRY_SCHEDULE" envDefault:"5s,30s,2m,10m,1h,6h,24h"`

	// Timeout is how long one attempt may take.
	Timeout Duration `env:"HOOKSWITCH_TIMEOUT" envDefault:"30s"`

	// Concurrency is how many attempts at one target run at the same time.
	Concurrency int `env:"HOOKSWITCH_CONCURRENCY" envDefault:"16"`

	// AdminListen is the address of the delivery record API.
	AdminListen string `env:"HOOKSWITCH_ADMIN_LISTEN" envDefault:"127.0.0.1:9080"`

	// AdminToken is the bearer token of the delivery record API. Without it
	// any token will do, and AdminListen must be a loopback address.
	AdminToken Secret `env:"HOOKSWITCH_ADMIN_TOKEN"`

	// UserID is the user_id of delivery records: a UUID.
	UserID string `env:"HOOKSWITCH_USER_ID" envDefault:"00000000-0000-0000-0000-000000000000"`

	// ShutdownTimeout is how long attempts under way may take to end when the
	// sidecar is told to stop.
	ShutdownTimeout Duration `env:"HOOKSWITCH_SHUTDOWN_TIMEOUT" envDefault:"20s"`

	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"HOOKSWITCH_LOG_LEVEL" envDefault:"info"`

	// LogFormat is text, json, or auto: text on a terminal, else json.
	LogFormat string `env:"HOOKSWITCH_LOG_FORMAT" envDefault:"auto"`
}

// LoadConfig reads the environment. It reports every bad value at once, each
// by the name of its variable and with the way to mend it, and never repeats a
// value that may be a secret. It does not require anything to be set; that is
// [Config.Validate].
func LoadConfig() (Config, error) {
	var c Config
	err := env.Parse(&c)
	if err == nil {
		return c, nil
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return c, &ConfigError{Problems: []string{err.Error()}}
	}
	problem := new(ConfigError)
	for _, e := range all.Errors {
		if pe, ok := errors.AsType[env.ParseError](e); ok {
			problem.add(variable(pe.Name), describe(pe))
			continue
		}
		problem.Problems = append(problem.Problems, e.Error())
	}
	return c, problem
}

// describe says what is wrong with a value of a type that is not ours.
func describe(pe env.ParseError) string {
	switch pe.Type.Kind() {
	case reflect.Int:
		if pe.Type == reflect.TypeFor[slog.Level]() {
			return "use debug, info, warn or error"
		}
		return "is not a whole number"
	}
	return pe.Err.Error()
}

// variable returns the environment variable of a field of Config.
func variable(field string) string {
	if f, ok := reflect.TypeFor[Config]().FieldByName(field); ok {
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		return name
	}
	return field
}

// ConfigError lists what is wrong with a configuration.
type ConfigError struct {
	Problems []string // each names the variable, what is wrong and the fix
}

func (e *ConfigError) Error() string {
	return "configuration: " + strings.Join(e.Problems, "; ")
}

func (e *ConfigError) add(variable, text string) {
	e.Problems = append(e.Problems, variable+" "+text)
}

// Validate reports everything that keeps the sidecar from starting with c, as
// a [*ConfigError].
func (c *Config) Validate() error {
	problem := new(ConfigError)
	if c.PublicKey.Ring == nil {
		problem.add("TELNYX_PUBLIC_KEY", "is not set: copy the key from Mission Control (Keys & Credentials, Public Key), or use \"hookswitch dev\" to try things out")
	}
	return c.validate(problem)
}

// ValidateDev is Validate for [Options.Dev], where the development key is
// enough.
func (c *Config) ValidateDev() error { return c.validate(new(ConfigError)) }

func (c *Config) validate(problem *ConfigError) error {
	if _, err := c.Dir(); err != nil {
		problem.add("HOOKSWITCH_STORE", err.Error())
	}
	c.validateListen(problem)
	if c.ForwardTo != "" {
		u, err := url.Parse(c.ForwardTo)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			problem.add("HOOKSWITCH_FORWARD_TO", "is not an http or https URL: write it like http://127.0.0.1:5000/webhooks")
		}
	}
	for _, path := range c.Paths {
		if !strings.HasPrefix(path, "/") {
			problem.add("HOOKSWITCH_PATHS", fmt.Sprintf("has %q, which does not begin with a slash", path))
		}
	}
	if c.Concurrency < 1 {
		problem.add("HOOKSWITCH_CONCURRENCY", "must be at least 1")
	}
	if c.Timeout <= 0 || c.ShutdownTimeout <= 0 || c.Tolerance <= 0 {
		problem.add("HOOKSWITCH_TIMEOUT, HOOKSWITCH_SHUTDOWN_TIMEOUT and HOOKSWITCH_TOLERANCE", "must be more than 0")
	}
	if _, err := uuid.Parse(c.UserID); err != nil {
		problem.add("HOOKSWITCH_USER_ID", "is not a UUID")
	}
	switch c.LogFormat {
	case "auto", "text", "json":
	default:
		problem.add("HOOKSWITCH_LOG_FORMAT", "is none of auto, text and json")
	}
	if len(problem.Problems) > 0 {
		return problem
	}
	return nil
}

func (c *Config) validateListen(problem *ConfigError) {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		problem.add("HOOKSWITCH_LISTEN", "is not an address: write it like :8080 or 127.0.0.1:8080")
	}
	host, _, err := net.SplitHostPort(c.AdminListen)
	switch {
	case err != nil:
		problem.add("HOOKSWITCH_ADMIN_LISTEN", "is not an address: write it like 127.0.0.1:9080")
	case c.AdminToken == "" && !isLoopback(host):
		problem.add("HOOKSWITCH_ADMIN_LISTEN", "can be reached from other machines: set HOOKSWITCH_ADMIN_TOKEN, or listen on 127.0.0.1")
	}
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Dir returns the directory that Store names.
func (c *Config) Dir() (string, error) {
	switch scheme, rest, found := strings.Cut(c.Store, ":"); {
	case c.Store == "" && c.StateDirectory != "":
		// systemd separates several directories by colons.
		first, _, _ := strings.Cut(c.StateDirectory, ":")
		return first, nil
	case c.Store == "":
		return ".hookswitch", nil
	case !found || scheme != "file":
		return "", errors.New("is of an unknown kind: write it like file:/var/lib/hookswitch")
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "", errors.New("names a host: write file:DIR with one slash or three")
	case strings.Trim(rest, "/") == "":
		return "", errors.New("names no directory: write it like file:/var/lib/hookswitch")
	default:
		return filepath.Clean(rest), nil
	}
}

// ForwardURL returns ForwardTo without the password that it may contain.
func (c *Config) ForwardURL() string {
	u, err := url.Parse(c.ForwardTo)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

// environment returns all variables, of which plugins see a few.
func environment() []string { return os.Environ() }

// Keys is a ring of public keys in the form of TELNYX_PUBLIC_KEY.
type Keys struct {
	Ring *webhook.KeyRing // nil if the variable is not set
}

// UnmarshalText parses the keys. Its errors do not repeat them.
func (k *Keys) UnmarshalText(text []byte) error {
	ring, err := webhook.ParseKeys(string(text))
	if err != nil {
		return errors.New("is no list of public keys: " + strings.TrimPrefix(err.Error(), "webhook: "))
	}
	k.Ring = ring
	return nil
}

// Secret is a setting that must not be shown. It prints as stars.
type Secret string

// String hides the secret.
func (Secret) String() string { return "***" }

// GoString hides the secret.
func (Secret) GoString() string { return "***" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("***") }

// Duration is a length of time, written like 5s or 1m30s.
type Duration time.Duration

// UnmarshalText parses the duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	*d = Duration(v)
	return err
}

// Schedule is a list of durations separated by commas.
type Schedule store.Schedule

// UnmarshalText parses the schedule. "none" is the empty one: a single
// attempt. (A variable that is set but empty has its default.)
func (s *Schedule) UnmarshalText(text []byte) error {
	*s = nil
	if strings.TrimSpace(string(text)) == "none" {
		return nil
	}
	for item := range strings.SplitSeq(string(text), ",") {
		wait, err := parseDuration(item)
		if err != nil {
			return err
		}
		if wait == 0 {
			return errors.New("has a wait of 0: a target that fails at once would be called without a pause")
		}
		*s = append(*s, wait)
	}
	return nil
}

// NewLogger returns a logger in one of the formats of LogFormat, other than
// auto.
func NewLogger(w io.Writer, format string, level slog.Level) (*slog.Logger, error) {
	return telemetry.NewLogger(w, format, level)
}

func parseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d < 0:
		return 0, fmt.Errorf("has %q, which is negative", s)
	case err == nil:
		return d, nil
	case s != "" && strings.Trim(s, "0123456789.") == "":
		return 0, fmt.Errorf("has %q, which needs a unit: did you mean %ss or %sm?", s, s, s)
	}
	return 0, fmt.Errorf("has %q, which is no duration: write it like 5s, 2m or 1h30m", s)
}
