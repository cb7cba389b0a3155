package sidecar

import (
	"errors"
	"log/slog"
	"os"
	"reflect"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Config is every setting of the sidecar. [LoadConfig] reads it from the
// environment, and the reference (hookswitch config docs) is made from it. A
// setting is a field with these tags:
//
//	env         the name of its variable
//	envDefault  its default; none if it may be left out
//	desc        one short sentence
//	example     a value to show, where the default does not show enough
//	reload      "true" if [Sidecar.Reload] applies a change; else it takes a restart
//	secret      "true" if it is never shown; "url" if it is shown without user,
//	            password and query. The variable NAME_FILE can then name a file
//	            that holds the value
//
// A type of its own, with UnmarshalText, says what is wrong with a value; it
// repeats the value only if that cannot be secret. What needs more than one
// field to decide is checked by [Config.Validate].
type Config struct {
	// PublicKey are the keys that webhooks are signed with, as shown in
	// Mission Control. Several are separated by commas, each with an optional
	// label ("new:KEY,old:KEY"). Required.
	PublicKey Keys `env:"TELNYX_PUBLIC_KEY" desc:"keys that Telnyx signs webhooks with, as Mission Control shows them; required" example:"new:KEY,old:KEY" reload:"true" secret:"true"`

	// Listen is the address that receives webhooks. Port 0 picks a free one.
	Listen string `env:"HOOKSWITCH_LISTEN" envDefault:":8080" desc:"address that receives webhooks" example:"127.0.0.1:8080"`

	// Paths are the paths on Listen that webhooks are POSTed to.
	Paths []string `env:"HOOKSWITCH_PATHS" envDefault:"/webhooks" desc:"paths that webhooks are POSTed to" example:"/webhooks,/sms"`

	// TLSCertFile and TLSKeyFile make Listen speak TLS: the paths of a
	// certificate in PEM, with those that it depends on, and of its key. Both
	// files are followed, so that a renewal needs no signal. Without them it
	// speaks plain HTTP.
	TLSCertFile string `env:"HOOKSWITCH_TLS_CERT_FILE" desc:"certificate of the webhook listener, in PEM, with its chain, followed; without it: plain HTTP" example:"/etc/hookswitch/tls.crt" reload:"true"`
	TLSKeyFile  string `env:"HOOKSWITCH_TLS_KEY_FILE" desc:"key of the certificate, in PEM" example:"/etc/hookswitch/tls.key" reload:"true"`

	// MaxBody is how large the body of a webhook may be; more is answered 413.
	MaxBody ByteSize `env:"HOOKSWITCH_MAX_BODY" envDefault:"1MiB" desc:"how large the body of a webhook may be, up to 8MiB"`

	// Tolerance is how far a timestamp may lie in the past or the future.
	Tolerance Duration `env:"HOOKSWITCH_TOLERANCE" envDefault:"5m" desc:"how far a timestamp may be off, either way" reload:"true"`

	// AckBudget is how long an event may take to be stored. Past it the sender
	// is answered 503 and sends again. Telnyx waits two seconds.
	AckBudget Duration `env:"HOOKSWITCH_ACK_BUDGET" envDefault:"1500ms" desc:"how long storing may take before the answer is 503; Telnyx waits 2s"`

	// Store is where events are kept: "file:DIR" for a directory of this
	// machine, or postgres://USER:PASSWORD@HOST/DATABASE for a database that
	// several sidecars may share. The default is .hookswitch in the working
	// directory, or the state directory that systemd provides.
	Store string `env:"HOOKSWITCH_STORE" desc:"where events are kept: a directory, or a PostgreSQL database that several sidecars may share" example:"file:/var/lib/hookswitch" secret:"url"`

	// DataDir is where the sidecar keeps its keys, its socket and what its
	// plugins write. The default is the directory of Store, or where that is
	// by default if Store is a database. It belongs to one sidecar.
	DataDir string `env:"HOOKSWITCH_DATA_DIR" desc:"directory of keys, socket and plugin files; by default that of HOOKSWITCH_STORE" example:"/var/lib/hookswitch"`

	// Retention is how long events are kept after they were delivered,
	// discarded or found to interest nobody. 0 keeps them for ever.
	Retention Duration `env:"HOOKSWITCH_RETENTION" envDefault:"720h" desc:"how long events are kept after they were delivered; 0s for ever" reload:"true"`

	// RetentionDead is the same for events with a dead letter. Events that
	// still have to be delivered are never removed.
	RetentionDead Duration `env:"HOOKSWITCH_RETENTION_DEAD" envDefault:"2160h" desc:"how long events with a dead letter are kept; 0s for ever" reload:"true"`

	// MaxDisk is how large the store may become before it removes what was
	// delivered, oldest first, earlier than Retention says. It never removes
	// what is pending or dead. 0 means no limit.
	MaxDisk ByteSize `env:"HOOKSWITCH_MAX_DISK" envDefault:"5GiB" desc:"size above which the oldest delivered events are removed; 0 for no limit" reload:"true"`

	// PluginDir is the folder whose executables are started as plugins. A
	// folder that does not exist has none.
	PluginDir string `env:"HOOKSWITCH_PLUGIN_DIR" envDefault:"plugins" desc:"folder whose executables are started as plugins" example:"/usr/lib/hookswitch/plugins"`

	// PluginWatch makes the sidecar follow the folder while it runs: plugins
	// come, go and change. Without it only "hookswitch plugins reload" looks
	// there again.
	PluginWatch bool `env:"HOOKSWITCH_PLUGIN_WATCH" envDefault:"true" desc:"follow the plugin folder while the sidecar runs"`

	// PluginTrust says which programs are run: "dir" those that only root and
	// the sidecar's user can have put there; "pinned" those listed in
	// PluginSums; "signed" likewise, if the list is signed with PluginSignKey.
	PluginTrust string `env:"HOOKSWITCH_PLUGIN_TRUST" envDefault:"dir" desc:"which programs are run as plugins: dir, pinned or signed"`

	// PluginSums is a file that sha256sum has written, of the programs that
	// are trusted.
	PluginSums string `env:"HOOKSWITCH_PLUGIN_SHA256SUMS" desc:"file with the SHA-256 of the programs that are trusted" example:"/etc/hookswitch/SHA256SUMS"`

	// PluginSignKey is the Ed25519 public key, PEM or base64, that verifies the
	// signature of PluginSums in the file beside it that ends in .sig.
	PluginSignKey string `env:"HOOKSWITCH_PLUGIN_SIGN_KEY" desc:"public key (Ed25519) that verifies the signature beside HOOKSWITCH_PLUGIN_SHA256SUMS"`

	// PluginEnv names variables that plugins may see. They inherit nothing
	// else but PATH, HOME and their like.
	PluginEnv []string `env:"HOOKSWITCH_PLUGIN_ENV" desc:"names of variables that plugins may see" example:"CRM_URL,CRM_TOKEN"`

	// PluginMemory is how much memory a plugin may have, together with the
	// processes that it starts. One that has more is killed and started
	// again. 0 means no limit.
	PluginMemory ByteSize `env:"HOOKSWITCH_PLUGIN_MEMORY" envDefault:"512MiB" desc:"memory that a plugin may have; 0 for no limit"`

	// PluginOpenFiles is how many files a process of a plugin may have open. 0
	// means as many as the sidecar.
	PluginOpenFiles int `env:"HOOKSWITCH_PLUGIN_OPEN_FILES" envDefault:"4096" desc:"files that a plugin may have open; 0 for as many as the sidecar"`

	// PluginUser is whom plugins run as, if the sidecar runs as root: a user,
	// or user:group. Without it a sidecar of root refuses to start plugins;
	// "root" allows it. The user must be able to reach the data directory.
	PluginUser string `env:"HOOKSWITCH_PLUGIN_USER" desc:"user that plugins run as, if the sidecar runs as root" example:"nobody"`

	// ForwardTo is the URL of an HTTP app that events are POSTed to: all that
	// no route takes.
	ForwardTo string `env:"HOOKSWITCH_FORWARD_TO" desc:"URL of the app that gets the events no route takes" example:"http://127.0.0.1:5000/webhooks" reload:"true" secret:"url"`

	// Routes send events to other URLs, by type:
	// HOOKSWITCH_ROUTE_0_MATCH, HOOKSWITCH_ROUTE_0_TO and so on. An event
	// that several routes match goes to each.
	Routes []Route `env:"-" envPrefix:"HOOKSWITCH_ROUTE_"`

	// ForwardSign says how forwarded requests are signed: "resign" with the
	// sidecar's own key and the present time, so that a retry verifies as
	// well; "passthrough" as received; "none" not at all.
	ForwardSign string `env:"HOOKSWITCH_FORWARD_SIGN" envDefault:"resign" desc:"how forwarded requests are signed: resign with the sidecar's key, passthrough, or none" reload:"true"`

	// ForwardKey is the secret that signs forwarded requests: the base64 of a
	// 32-byte Ed25519 seed. By default one is made and kept in DataDir;
	// several sidecars in front of one app need the same.
	ForwardKey Secret `env:"HOOKSWITCH_FORWARD_KEY" desc:"secret that signs forwarded requests, base64 of 32 bytes; by default made once" reload:"true" secret:"true"`

	// ForwardHeaders are headers sent with every forwarded request, such as
	// "Authorization:Bearer TOKEN". Several are separated by commas.
	ForwardHeaders Headers `env:"HOOKSWITCH_FORWARD_HEADERS" desc:"headers added to forwarded requests" example:"Authorization:Bearer TOKEN,X-Stage:test" reload:"true" secret:"true"`

	// RetryOn are the failures of an app after which it is tried again:
	// conn, timeout, dns, tls, statuses such as 429 and classes such as 5xx.
	// After any other the event is dead at once. 408, 425 and 429 are always
	// tried again, 410 never is.
	RetryOn string `env:"HOOKSWITCH_RETRY_ON" envDefault:"conn,timeout,dns,tls,3xx,4xx,5xx" desc:"failures that are retried: conn, timeout, dns, tls, statuses, classes" example:"conn,timeout,dns,tls,429,5xx" reload:"true"`

	// RetrySchedule are the waits between the attempts at a target, each
	// spread by half of itself up and down. After the last the job is dead.
	RetrySchedule Schedule `env:"HOOKSWITCH_RETRY_SCHEDULE" envDefault:"5s,30s,2m,10m,1h,6h,24h" desc:"waits between attempts, jittered; then the job is dead; none for a single attempt" example:"5s,1m,1h" reload:"true"`

	// RetryMaxAge is how long after it was received an event is still tried.
	// 0 means as long as the schedule goes.
	RetryMaxAge Duration `env:"HOOKSWITCH_RETRY_MAX_AGE" envDefault:"0s" desc:"how long an event is tried at most; 0s for as long as the schedule goes" example:"24h" reload:"true"`

	// OrderBy makes events of one entity go to a target one at a time, in the
	// order in which they happened: "entity" for those of one message, call
	// leg, conference or fax; or a field of the body, such as
	// "payload.call_session_id". "none" is the fastest: no order.
	OrderBy OrderBy `env:"HOOKSWITCH_ORDER_BY" envDefault:"none" desc:"events that go in order: none, entity, or a field of the body" example:"payload.call_session_id"`

	// Timeout is how long one attempt may take.
	Timeout Duration `env:"HOOKSWITCH_TIMEOUT" envDefault:"30s" desc:"how long one attempt may take" reload:"true"`

	// Concurrency is how many attempts at one target run at the same time.
	Concurrency int `env:"HOOKSWITCH_CONCURRENCY" envDefault:"16" desc:"attempts at one target at the same time" reload:"true"`

	// AdminListen is the address of the delivery record API.
	AdminListen string `env:"HOOKSWITCH_ADMIN_LISTEN" envDefault:"127.0.0.1:9080" desc:"address of the delivery records and the API" example:"0.0.0.0:9080"`

	// AdminSocket is the path of a socket for the commands of this program,
	// which only its user may open. The default is in DataDir.
	AdminSocket string `env:"HOOKSWITCH_ADMIN_SOCKET" desc:"path of the socket of the commands; by default in the data directory" example:"/run/hookswitch/admin.sock"`

	// AdminToken is the bearer token of the delivery record API. Without it
	// any token will do, and AdminListen must be a loopback address.
	AdminToken Secret `env:"HOOKSWITCH_ADMIN_TOKEN" desc:"bearer token of the admin listener; required unless it is on loopback" reload:"true" secret:"true"`

	// AdminHosts are the names, besides those of this machine, that
	// AdminListen is asked for by. Without a token no others are answered;
	// with one they are, unless some are given here.
	AdminHosts []string `env:"HOOKSWITCH_ADMIN_HOSTS" desc:"names that the admin listener answers for, besides localhost; with a token, any by default" example:"ops.example.com,10.0.0.5" reload:"true"`

	// AdminReadOnly refuses whatever changes anything on AdminListen. The
	// commands on this machine go through AdminSocket, and can.
	AdminReadOnly bool `env:"HOOKSWITCH_ADMIN_READONLY" envDefault:"false" desc:"refuse what changes anything on the admin listener; the socket still takes it" reload:"true"`

	// Pprof serves the profiles of the program on the admin listener.
	Pprof bool `env:"HOOKSWITCH_PPROF" envDefault:"false" desc:"serve profiles of the program below /debug/pprof/ on the admin listener"`

	// MetricsListen is an address that serves the metrics, and nothing else,
	// to scrapers without a token. They are on AdminListen in any case.
	MetricsListen string `env:"HOOKSWITCH_METRICS_LISTEN" desc:"address that serves /metrics to scrapers without a token"`

	// DiskFloor is how much room there must be on the disk of DataDir for the
	// sidecar to be ready.
	DiskFloor ByteSize `env:"HOOKSWITCH_DISK_FLOOR" envDefault:"100MiB" desc:"free space on the disk of the data directory below which the sidecar is not ready; 0 to ignore it" example:"1GiB"`

	Alerting

	Tracing

	// UserID is the user_id of delivery records: a UUID.
	UserID string `env:"HOOKSWITCH_USER_ID" envDefault:"00000000-0000-0000-0000-000000000000" desc:"user_id in the delivery records" example:"c9c0797e-901d-4349-a33c-c2c8f31a92c2"`

	// DrainDelay is how long webhooks are still accepted after the sidecar was
	// told to stop, while it is no longer ready: the time that load balancers
	// need to notice.
	DrainDelay Duration `env:"HOOKSWITCH_DRAIN_DELAY" envDefault:"0s" desc:"how long webhooks are still accepted after a signal to stop" example:"5s"`

	// ShutdownTimeout is how long attempts under way may take to end when the
	// sidecar is told to stop.
	ShutdownTimeout Duration `env:"HOOKSWITCH_SHUTDOWN_TIMEOUT" envDefault:"20s" desc:"how long attempts under way may take to end after a signal to stop"`

	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"HOOKSWITCH_LOG_LEVEL" envDefault:"info" desc:"debug, info, warn or error" reload:"true"`

	// LogFormat is text, json, or auto: text on a terminal, else json.
	LogFormat string `env:"HOOKSWITCH_LOG_FORMAT" envDefault:"auto" desc:"text, json, or auto: text on a terminal only"`

	// Systemd is what systemd says in the environment of a service. None of it
	// is a setting.
	Systemd Systemd `env:"-"`

	// loaded is where the values came from; nil if not from LoadConfig.
	loaded *loaded
}

// Systemd has the variables that systemd sets for the sidecar, for what its unit
// says.
type Systemd struct {
	StateDirectory string // STATE_DIRECTORY, for StateDirectory=
	NotifySocket   string // NOTIFY_SOCKET, for Type=notify
	WatchdogUsec   string // WATCHDOG_USEC, for WatchdogSec=
	WatchdogPID    string // WATCHDOG_PID, the process that has to show signs of life
}

// Route sends events of some types to the URL of an HTTP app.
type Route struct {
	// Number is the n of HOOKSWITCH_ROUTE_n_.
	Number int `env:"-"`

	// Match are the types: exact, "message.*" or "*", separated by commas.
	Match []string `env:"MATCH" desc:"event types of the route: exact, message.* or *" example:"message.*,fax.received" reload:"true"`

	// To is the URL.
	To string `env:"TO" desc:"URL that the events of the route go to" example:"http://127.0.0.1:5000/sms" reload:"true" secret:"url"`

	// Mode is "async": stored, acknowledged, delivered with retries; or
	// "sync": passed straight through, for senders that need the app's answer
	// (TeXML, variables of an assistant, tools), and recorded afterwards.
	Mode string `env:"MODE" envDefault:"async" desc:"async, or sync: the app's own answer goes back to the sender" reload:"true"`

	// Name names the target: "forward:NAME". The default is "routeN".
	Name string `env:"NAME" desc:"name of the target: forward:NAME; by default route<n>" example:"crm" reload:"true"`

	// Timeout is how long one attempt may take. The default is that of all,
	// and 10 seconds in sync mode if that is longer.
	Timeout Duration `env:"TIMEOUT" desc:"how long one attempt may take; by default HOOKSWITCH_TIMEOUT, at most 10s in sync mode" example:"5s" reload:"true"`
}

// LoadConfig reads the environment, and what it leaves open from files of
// NAME=VALUE lines, of which a later one has precedence. It reports every bad
// value at once, as a [*ConfigError], and never repeats one that may be secret.
//
// It does not require anything to be set. [Config.Validate] does, and reports
// what LoadConfig has found once more: whoever is going to call it anyway need
// not look at this error.
func LoadConfig(files ...string) (Config, error) {
	return loadConfig(os.Environ(), files)
}

// parse sets the fields of a struct from variables whose names have a prefix.
func parse(into any, prefix string, values map[string]string, problem *ConfigError) {
	err := env.ParseWithOptions(into, env.Options{Environment: values, Prefix: prefix, FuncMap: parsers()})
	all, _ := errors.AsType[env.AggregateError](err)
	for _, err := range all.Errors {
		problem.add(variable(reflect.TypeOf(into).Elem(), prefix, err), describe(err))
	}
}

// variable returns the name of the variable that an error of env is about. env
// gives the name of the field.
func variable(t reflect.Type, prefix string, err error) string {
	if pe, ok := errors.AsType[env.ParseError](err); ok {
		if f, ok := t.FieldByName(pe.Name); ok {
			name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
			return prefix + name
		}
	}
	return prefix + t.Name()
}

// parsers are those that env lacks: its own numbers have 32 bits, its booleans
// know neither yes nor on, and its lists keep the spaces behind commas.
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

// describe says what is wrong with a value, which it does not repeat.
func describe(err error) string {
	pe, ok := errors.AsType[env.ParseError](err)
	if !ok {
		return err.Error() // of a tag; a test notices
	}
	switch kind := pe.Type.Kind(); {
	case pe.Type == reflect.TypeFor[slog.Level]():
		return "is no level: use debug, info, warn or error"
	case kind == reflect.Bool:
		return "is neither true nor false: write true or false"
	case kind >= reflect.Int && kind <= reflect.Uint64 && !isText(pe.Type):
		return "is not a whole number, or too large: write it like 16"
	case kind == reflect.Float32 || kind == reflect.Float64:
		return "is not a number: write it like 0.5"
	}
	return pe.Err.Error()
}

// Environ returns the variables of this process, for what is around the
// sidecar: what starts the app, and what looks for NO_COLOR.
func Environ() []string { return os.Environ() }
