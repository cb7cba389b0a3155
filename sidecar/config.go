package sidecar

import (
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/caarlos0/env/v11"
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

	// AckBudget is how long an event may take to be stored. Past it the sender
	// is answered 503 and sends again. Telnyx waits two seconds.
	AckBudget Duration `env:"HOOKSWITCH_ACK_BUDGET" envDefault:"1500ms"`

	// Store is where events are kept: "file:DIR" for a directory of this
	// machine, or postgres://USER:PASSWORD@HOST/DATABASE for a database that
	// several sidecars may share. The default is .hookswitch in the working
	// directory, or the state directory that systemd provides.
	Store string `env:"HOOKSWITCH_STORE"`

	// DataDir is where the sidecar keeps its keys, its socket and what its
	// plugins write. The default is the directory of Store, or where that is
	// by default if Store is a database. It belongs to one sidecar.
	DataDir string `env:"HOOKSWITCH_DATA_DIR"`

	// Retention is how long events are kept after they were delivered,
	// discarded or found to interest nobody. 0 keeps them for ever.
	Retention Duration `env:"HOOKSWITCH_RETENTION" envDefault:"720h"`

	// RetentionDead is the same for events with a dead letter. Events that
	// still have to be delivered are never removed.
	RetentionDead Duration `env:"HOOKSWITCH_RETENTION_DEAD" envDefault:"2160h"`

	// MaxDisk is how large the store may become before it removes what was
	// delivered, oldest first, earlier than Retention says. It never removes
	// what is pending or dead. 0 means no limit.
	MaxDisk ByteSize `env:"HOOKSWITCH_MAX_DISK" envDefault:"5GiB"`

	// StateDirectory is set by systemd (StateDirectory=).
	StateDirectory string `env:"STATE_DIRECTORY"`

	// PluginDir is the folder whose executables are started as plugins. A
	// folder that does not exist has none.
	PluginDir string `env:"HOOKSWITCH_PLUGIN_DIR" envDefault:"plugins"`

	// PluginEnv names variables that plugins may see. They inherit nothing
	// else but PATH, HOME and their like.
	PluginEnv []string `env:"HOOKSWITCH_PLUGIN_ENV"`

	// ForwardTo is the URL of an HTTP app that events are POSTed to: all that
	// no route takes.
	ForwardTo string `env:"HOOKSWITCH_FORWARD_TO"`

	// Routes send events to other URLs, by type:
	// HOOKSWITCH_ROUTE_0_MATCH, HOOKSWITCH_ROUTE_0_TO and so on. An event
	// that several routes match goes to each.
	Routes []Route `envPrefix:"HOOKSWITCH_ROUTE_"`

	// ForwardSign says how forwarded requests are signed: "resign" with the
	// sidecar's own key and the present time, so that a retry verifies as
	// well; "passthrough" as received; "none" not at all.
	ForwardSign string `env:"HOOKSWITCH_FORWARD_SIGN" envDefault:"resign"`

	// ForwardKey is the secret that signs forwarded requests: the base64 of a
	// 32-byte Ed25519 seed. By default one is made and kept in DataDir;
	// several sidecars in front of one app need the same.
	ForwardKey Secret `env:"HOOKSWITCH_FORWARD_KEY"`

	// ForwardHeaders are headers sent with every forwarded request, such as
	// "Authorization:Bearer TOKEN". Several are separated by commas.
	ForwardHeaders Headers `env:"HOOKSWITCH_FORWARD_HEADERS"`

	// RetryOn are the failures of an app after which it is tried again:
	// conn, timeout, dns, tls, statuses such as 429 and classes such as 5xx.
	// After any other the event is dead at once. 408, 425 and 429 are always
	// tried again, 410 never is.
	RetryOn string `env:"HOOKSWITCH_RETRY_ON" envDefault:"conn,timeout,dns,tls,3xx,4xx,5xx"`

	// RetrySchedule are the waits between the attempts at a target, each
	// spread by half of itself up and down. After the last the job is dead.
	RetrySchedule Schedule `env:"HOOKSWITCH_RETRY_SCHEDULE" envDefault:"5s,30s,2m,10m,1h,6h,24h"`

	// RetryMaxAge is how long after it was received an event is still tried.
	// 0 means as long as the schedule goes.
	RetryMaxAge Duration `env:"HOOKSWITCH_RETRY_MAX_AGE" envDefault:"0s"`

	// OrderBy makes events of one entity go to a target one at a time, in the
	// order in which they happened: "entity" for those of one message, call
	// leg, conference or fax; or a field of the body, such as
	// "payload.call_session_id". "none" is the fastest: no order.
	OrderBy OrderBy `env:"HOOKSWITCH_ORDER_BY" envDefault:"none"`

	// Timeout is how long one attempt may take.
	Timeout Duration `env:"HOOKSWITCH_TIMEOUT" envDefault:"30s"`

	// Concurrency is how many attempts at one target run at the same time.
	Concurrency int `env:"HOOKSWITCH_CONCURRENCY" envDefault:"16"`

	// AdminListen is the address of the delivery record API.
	AdminListen string `env:"HOOKSWITCH_ADMIN_LISTEN" envDefault:"127.0.0.1:9080"`

	// AdminSocket is the path of a socket for the commands of this program,
	// which only its user may open. The default is in DataDir.
	AdminSocket string `env:"HOOKSWITCH_ADMIN_SOCKET"`

	// AdminToken is the bearer token of the delivery record API. Without it
	// any token will do, and AdminListen must be a loopback address.
	AdminToken Secret `env:"HOOKSWITCH_ADMIN_TOKEN"`

	// UserID is the user_id of delivery records: a UUID.
	UserID string `env:"HOOKSWITCH_USER_ID" envDefault:"00000000-0000-0000-0000-000000000000"`

	// DrainDelay is how long webhooks are still accepted after the sidecar was
	// told to stop, while it is no longer ready: the time that load balancers
	// need to notice.
	DrainDelay Duration `env:"HOOKSWITCH_DRAIN_DELAY" envDefault:"0s"`

	// ShutdownTimeout is how long attempts under way may take to end when the
	// sidecar is told to stop.
	ShutdownTimeout Duration `env:"HOOKSWITCH_SHUTDOWN_TIMEOUT" envDefault:"20s"`

	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"HOOKSWITCH_LOG_LEVEL" envDefault:"info"`

	// LogFormat is text, json, or auto: text on a terminal, else json.
	LogFormat string `env:"HOOKSWITCH_LOG_FORMAT" envDefault:"auto"`
}

// Route sends events of some types to the URL of an HTTP app.
type Route struct {
	// Match are the types: exact, "message.*" or "*", separated by commas.
	Match []string `env:"MATCH"`

	// To is the URL.
	To string `env:"TO"`

	// Mode is "async": stored, acknowledged, delivered with retries; or
	// "sync": passed straight through, for senders that need the app's answer
	// (TeXML, variables of an assistant, tools), and recorded afterwards.
	Mode string `env:"MODE" envDefault:"async"`

	// Name names the target: "forward:NAME". The default is "routeN".
	Name string `env:"NAME"`

	// Timeout is how long one attempt may take. The default is that of all,
	// and 10 seconds in sync mode if that is longer.
	Timeout Duration `env:"TIMEOUT"`
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

// variable returns the environment variable of a field of Config, or of a
// Route.
func variable(field string) string {
	tag := func(t reflect.Type) (string, bool) {
		f, ok := t.FieldByName(field)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		return name, ok
	}
	if name, ok := tag(reflect.TypeFor[Config]()); ok {
		return name
	}
	if name, ok := tag(reflect.TypeFor[Route]()); ok {
		return "HOOKSWITCH_ROUTE_n_" + name
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

// Dir returns the data directory: DataDir, or what follows from Store. Its
// errors do not repeat Store, which may hold a password.
func (c *Config) Dir() (string, error) {
	text := c.Store
	if _, database := c.database(); database {
		text = ""
	}
	switch scheme, rest, found := strings.Cut(text, ":"); {
	case c.DataDir != "":
		return filepath.Clean(c.DataDir), nil
	case text == "" && c.StateDirectory != "":
		// systemd separates several directories by colons.
		first, _, _ := strings.Cut(c.StateDirectory, ":")
		return first, nil
	case text == "":
		return ".hookswitch", nil
	case !found || scheme != "file":
		return "", errors.New("is of an unknown kind: write it like file:/var/lib/hookswitch or postgres://USER:PASSWORD@HOST/DATABASE")
	case strings.HasPrefix(rest, "//") && !strings.HasPrefix(rest, "///"):
		return "", errors.New("names a host: write file:DIR with one slash or three")
	case strings.Trim(rest, "/") == "":
		return "", errors.New("names no directory: write it like file:/var/lib/hookswitch")
	default:
		return filepath.Clean(rest), nil
	}
}

// database returns the URL of the database that events are kept in, if they
// are kept in one. It may hold a password.
func (c *Config) database() (string, bool) {
	return c.Store, strings.HasPrefix(c.Store, "postgres://") || strings.HasPrefix(c.Store, "postgresql://")
}

// storeDir returns the directory of events, if they are kept in one.
func (c *Config) storeDir() (string, error) {
	own := *c
	own.DataDir = ""
	return own.Dir()
}

// Forwards returns where events are forwarded to, a line for each route and
// HOOKSWITCH_FORWARD_TO, without the passwords that the URLs may contain.
func (c *Config) Forwards() (lines []string) {
	redacted := func(text string) string {
		u, err := url.Parse(text)
		if err != nil {
			return ""
		}
		return u.Redacted()
	}
	for _, r := range c.Routes {
		line := strings.Join(r.Match, ",") + " → " + redacted(r.To)
		if r.Mode == "sync" {
			line += " (sync)"
		}
		lines = append(lines, line)
	}
	if c.ForwardTo != "" {
		lines = append(lines, redacted(c.ForwardTo))
	}
	return lines
}

// environment returns all variables, of which plugins see a few.
func environment() []string { return os.Environ() }
