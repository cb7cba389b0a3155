package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

const goodKey = "eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg="

// load reads a configuration from the given variables and checks it.
func load(t *testing.T, vars map[string]string) (config.Config, error) {
	t.Helper()
	for _, name := range testVariables {
		t.Setenv(name, "") // puts it back afterwards
		os.Unsetenv(name)
	}
	for name, value := range vars {
		t.Setenv(name, value)
	}
	c, _ := config.Load() // its problems are among those of Validate
	return c, c.Validate()
}

// testVariables are those that tell the tests what to run, such as
// HOOKSWITCH_POSTGRES: to a sidecar they are misspelt settings.
var testVariables = func() (names []string) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "HOOKSWITCH_") {
			names = append(names, name)
		}
	}
	return names
}()

func TestOneVariableIsEnough(t *testing.T) {
	c, err := load(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey})
	if err != nil {
		t.Fatal(err)
	}
	if dir, _ := c.Dir(); c.Listen != ":8080" || c.Paths[0] != "/webhooks" || dir != ".hookswitch" ||
		c.AdminListen != "127.0.0.1:9080" || len(c.RetrySchedule) != 7 || time.Duration(c.RetrySchedule[0]) != 5*time.Second {
		t.Errorf("defaults: %+v", c)
	}
}

func TestStoreDirectory(t *testing.T) {
	for _, tt := range []struct{ store, state, want string }{
		{"", "", ".hookswitch"},
		{"", "/var/lib/hookswitch:/var/lib/other", "/var/lib/hookswitch"},
		{"file:data", "/var/lib/hookswitch", "data"},
		{"file:/var/lib/x/", "", "/var/lib/x"},
		{"file:///var/lib/x", "", "/var/lib/x"},
	} {
		c := config.Config{Storage: config.Storage{Store: tt.store}, Systemd: config.Systemd{StateDirectory: tt.state}}
		if got, err := c.Dir(); err != nil || got != tt.want {
			t.Errorf("store %q, state %q: %q, %v; want %q", tt.store, tt.state, got, err, tt.want)
		}
	}
}

// planted is in every secret of a configuration under test, and plantedKey in
// those that must be the base64 of 32 bytes.
const (
	planted    = "pl4ntedS3cret"
	plantedKey = "cGw0bnRlZFMzY3JldHBsNG50ZWRTM2NyZXRwbDRudGU="
)

// plant gives every setting that is secret a value with planted in it.
func plant(t *testing.T) map[string]string {
	t.Helper()
	values := map[string]string{
		"TELNYX_PUBLIC_KEY":                  goodKey, // public, but who knows what is pasted there
		"HOOKSWITCH_STORE":                   "postgres://hookswitch:" + planted + "@127.0.0.1/db?sslpassword=" + planted,
		"HOOKSWITCH_FORWARD_TO":              "http://" + planted + ":" + planted + "@127.0.0.1:1/hooks?key=" + planted,
		"HOOKSWITCH_ROUTE_0_TO":              "http://" + planted + "@127.0.0.1:1/sms?key=" + planted + "#" + planted,
		"HOOKSWITCH_FORWARD_KEY":             plantedKey,
		"HOOKSWITCH_FORWARD_HEADERS":         "Authorization:Bearer " + planted + ",X-Token:" + planted,
		"HOOKSWITCH_ADMIN_TOKEN":             planted,
		"HOOKSWITCH_ALERT_URL":               "https://" + planted + "@alerts.test/" + planted + "?key=" + planted,
		"HOOKSWITCH_ALERT_FORMAT":            "template",
		"HOOKSWITCH_ALERT_TEMPLATE":          `{"routing_key": "` + planted + `", "text": "{summary}"}`,
		"OTEL_EXPORTER_OTLP_ENDPOINT":        "http://" + planted + "@127.0.0.1:1/?key=" + planted,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://" + planted + "@127.0.0.1:1/v1/traces?key=" + planted,
		"OTEL_EXPORTER_OTLP_HEADERS":         "api-key=" + planted,
	}
	c := config.Config{Forwarding: config.Forwarding{Routes: []config.Route{{}}}}
	for _, s := range c.Settings() {
		if s.Secret && values[s.Name] == "" {
			t.Errorf("%s is secret, and nothing is planted in it: add it to this test", s.Name)
		}
	}
	values["HOOKSWITCH_ROUTE_0_MATCH"] = "message.*"
	return values
}

// leaks reports whether a text shows a planted secret.
func leaks(text string) bool {
	return strings.Contains(text, planted) || strings.Contains(text, plantedKey[:20])
}

// TestPlantedSecretsAreGood: the secrets that the other tests plant are accepted,
// and nothing that prints a configuration shows them.
func TestPlantedSecretsAreGood(t *testing.T) {
	c, err := load(t, plant(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range c.Settings() {
		if leaks(s.Value) {
			t.Errorf("%s is shown as %s", s.Name, s.Value)
		}
	}
	for _, line := range c.Forwards() {
		if leaks(line) {
			t.Errorf("a forward is shown as %s", line)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		if text := fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c); leaks(text) {
			t.Errorf("%s prints a secret: %s", verb, text)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("", "config", c, "token", c.AdminToken, "headers", c.ForwardHeaders)
	slog.New(slog.NewTextHandler(&log, nil)).Info("", "config", &c, "token", c.AdminToken, "headers", c.ForwardHeaders)
	if leaks(log.String()) {
		t.Errorf("the log shows a secret: %s", log.String())
	}
}

// TestBadConfigurations: each error names its variable and hints at the fix,
// and none repeats what may be secret: neither the value that is bad, nor any
// of the others.
func TestBadConfigurations(t *testing.T) {
	for _, tt := range []struct{ variable, value, hint string }{
		{"TELNYX_PUBLIC_KEY", "", "is not set"},
		{"TELNYX_PUBLIC_KEY", planted, "base64"},
		{"TELNYX_PUBLIC_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "low order"},
		{"HOOKSWITCH_LISTEN", "8080", "write it like :8080"},
		{"HOOKSWITCH_ADMIN_LISTEN", ":9080", "HOOKSWITCH_ADMIN_TOKEN"},
		{"HOOKSWITCH_ADMIN_LISTEN", "9080", "write it like"},
		{"HOOKSWITCH_STORE", "redis://u:" + planted + "@h", "file:"},
		{"HOOKSWITCH_STORE", "file:", "names no directory"},
		{"HOOKSWITCH_STORE", "file://host/x", "names a host"},
		{"HOOKSWITCH_FORWARD_TO", "127.0.0.1:5000", "http"},
		{"HOOKSWITCH_FORWARD_TO", "ftp://u:" + planted + "@h/", "http"},
		{"HOOKSWITCH_PATHS", "webhooks", "slash"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "5,30", "did you mean 5s"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "5s,soon", "not a duration"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "5s,-1s", "negative"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "0s", "0"},
		{"HOOKSWITCH_TIMEOUT", "30", "did you mean 30s"},
		{"HOOKSWITCH_TIMEOUT", "0s", "more than 0"},
		{"HOOKSWITCH_TOLERANCE", "5", "5m"},
		{"HOOKSWITCH_SHUTDOWN_TIMEOUT", "x", "not a duration"},
		{"HOOKSWITCH_CONCURRENCY", "many", "whole number"},
		{"HOOKSWITCH_CONCURRENCY", "0", "at least 1"},
		{"HOOKSWITCH_USER_ID", "me", "UUID"},
		{"HOOKSWITCH_LOG_LEVEL", "loud", "debug"},
		{"HOOKSWITCH_LOG_FORMAT", "xml", "json"},
		{"HOOKSWITCH_ACK_BUDGET", "1500", "did you mean 1500s"},
		{"HOOKSWITCH_ACK_BUDGET", "0s", "more than 0"},
		{"HOOKSWITCH_MAX_DISK", "lots", "5GiB"},
		{"HOOKSWITCH_MAX_DISK", "-1GB", "5GiB"},
		{"HOOKSWITCH_RETENTION", "30d", "did you mean 720h?"},
		{"HOOKSWITCH_RETENTION_DEAD", "-1h", "negative"},
		{"HOOKSWITCH_DRAIN_DELAY", "5", "did you mean 5s"},
		{"HOOKSWITCH_RETRY_MAX_AGE", "a day", "not a duration"},
		{"HOOKSWITCH_RETRY_ON", "sometimes", "sometimes"},
		{"HOOKSWITCH_ORDER_BY", "call", "entity"},
		{"HOOKSWITCH_ORDER_BY", "payload..id", "entity"},
		{"HOOKSWITCH_FORWARD_SIGN", "hmac", "resign"},
		{"HOOKSWITCH_FORWARD_KEY", planted, "base64"},
		{"HOOKSWITCH_FORWARD_HEADERS", planted, "colon"},
		{"HOOKSWITCH_FORWARD_HEADERS", "Bad Name:" + planted, "name"},
		{"HOOKSWITCH_FORWARD_HEADERS", "X-Token:" + planted + "\x01x", "X-Token"},
		{"HOOKSWITCH_ROUTE_0_TO", "127.0.0.1:5000", "http"},
		{"HOOKSWITCH_ROUTE_0_MATCH", "mes*age", "pattern"},
		{"HOOKSWITCH_ROUTE_0_MODE", "later", "async"},
		{"HOOKSWITCH_ROUTE_0_NAME", "default", "another target"},
		{"HOOKSWITCH_ROUTE_0_NAME", "a:b", "colon"},
		{"HOOKSWITCH_MAX_BODY", "1", "from 1KiB to 8MiB"},
		{"HOOKSWITCH_VERIFIER", "quick", "standard, fast or shadow"},
		{"HOOKSWITCH_MAX_BODY", "1GiB", "from 1KiB to 8MiB"},
		{"HOOKSWITCH_TLS_CERT_FILE", "/does/not/exist", "HOOKSWITCH_TLS_KEY_FILE"},
		{"HOOKSWITCH_TLS_KEY_FILE", "/does/not/exist", "HOOKSWITCH_TLS_CERT_FILE"},
		{"HOOKSWITCH_ADMIN_HOSTS", "https://ops.test", "without scheme"},
		{"HOOKSWITCH_ADMIN_READONLY", "maybe", "true or false"},
		{"HOOKSWITCH_PPROF", "2", "true or false"},
		{"HOOKSWITCH_PLUGIN_ENV", "CRM_URL=" + planted, "without values"},
		{"HOOKSWITCH_ALERT_FORMAT", "teams", "json, slack or template"},
		{"HOOKSWITCH_ALERT_TEMPLATE", planted, "is not JSON"},
		{"HOOKSWITCH_ALERT_TEMPLATE", `{"a": "{` + planted + `}"}`, "unknown word in braces"},
		{"HOOKSWITCH_PLUGIN_ALLOW_ROOT", "true", "HOOKSWITCH_PLUGIN_USER=root"},
		{"HOOKSWITCH_PLUGIN_ALLOW_ROOT", "false", "no longer a setting"},
		{"HOOKSWITCH_CONCURRENCY", "1e3", "whole number"},
		{"HOOKSWITCH_CONCURRENCY", "99999999999999999999", "too large"},
		{"HOOKSWITCH_RETRY_MAX_AGE", "2w", "did you mean 336h?"},
		{"HOOKSWITCH_ADMIN_TOKEN_FILE", "/does/not/exist", "cannot be read: no such file or directory"},
		{"TELNYX_PUBLIC_KEY_FILE", "/does/not/exist", "as well as TELNYX_PUBLIC_KEY"},
		{"HOOKSWITCH_ROUTE_0_TO_FILE", "/", "is a directory"},
	} {
		t.Run(tt.variable+" "+tt.value, func(t *testing.T) {
			vars := plant(t)
			if tt.hint == "HOOKSWITCH_ADMIN_TOKEN" || tt.variable == "HOOKSWITCH_ADMIN_TOKEN_FILE" {
				delete(vars, "HOOKSWITCH_ADMIN_TOKEN")
			}
			if tt.variable == "HOOKSWITCH_ROUTE_0_TO_FILE" {
				delete(vars, "HOOKSWITCH_ROUTE_0_TO")
			}
			vars[tt.variable] = tt.value
			c, err := load(t, vars)
			bad, ok := errors.AsType[*config.Error](err)
			if !ok {
				t.Fatalf("accepted, or not as a bad configuration: %v", err)
			}
			if len(bad.Problems) != 1 || !strings.Contains(bad.Problems[0].String(), tt.variable) {
				t.Errorf("error %q: want one problem, with %s", err, tt.variable)
			}
			if text := err.Error(); !strings.Contains(text, tt.variable) || !strings.Contains(text, tt.hint) {
				t.Errorf("error %q: want %s, %q", text, tt.variable, tt.hint)
			}
			if text := fmt.Sprint(err, bad.Problems, c.Settings(), c.Warnings(), c); leaks(text) {
				t.Errorf("a secret is shown: %s", text)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	c, err := load(t, map[string]string{
		"TELNYX_PUBLIC_KEY":          goodKey,
		"HOOKSWITCH_ROUTE_0_MATCH":   "message.*,fax.received",
		"HOOKSWITCH_ROUTE_0_TO":      "http://127.0.0.1:5000/sms",
		"HOOKSWITCH_ROUTE_1_MATCH":   "texml.*",
		"HOOKSWITCH_ROUTE_1_TO":      "https://ivr.test/",
		"HOOKSWITCH_ROUTE_1_MODE":    "sync",
		"HOOKSWITCH_ROUTE_1_NAME":    "ivr",
		"HOOKSWITCH_ROUTE_1_TIMEOUT": "3s",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []config.Route{
		{Match: []string{"message.*", "fax.received"}, To: "http://127.0.0.1:5000/sms", Mode: "async"},
		{Number: 1, Match: []string{"texml.*"}, To: "https://ivr.test/", Mode: "sync", Name: "ivr", Timeout: config.Duration(3 * time.Second)},
	}
	if diff := cmp.Diff(want, c.Routes); diff != "" {
		t.Errorf("routes (-want +got):\n%s", diff)
	}
}

func TestRoutesNeedBothEnds(t *testing.T) {
	_, err := load(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey, "HOOKSWITCH_ROUTE_0_TO": "http://127.0.0.1:5000"})
	if err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_ROUTE_0_MATCH is not set") {
		t.Errorf("a route without types: %v", err)
	}
}

func TestByteSizes(t *testing.T) {
	for text, want := range map[string]config.ByteSize{
		"0": 0, "1048576": 1 << 20, "5GiB": 5 << 30, "5 gib": 5 << 30, "500MB": 500e6, "1.5k": 1536, "10t": 10 << 40, "7b": 7,
	} {
		var got config.ByteSize
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	_, err := load(t, map[string]string{"HOOKSWITCH_TIMEOUT": "x", "HOOKSWITCH_CONCURRENCY": "y", "HOOKSWITCH_RETRY_SCHEDULE": "z"})
	for _, name := range []string{"HOOKSWITCH_TIMEOUT", "HOOKSWITCH_CONCURRENCY", "HOOKSWITCH_RETRY_SCHEDULE"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	c, err := load(t, map[string]string{
		"TELNYX_PUBLIC_KEY":          goodKey,
		"HOOKSWITCH_ADMIN_TOKEN":     "pl4nted",
		"HOOKSWITCH_FORWARD_HEADERS": "Authorization:Bearer pl4nted",
		"HOOKSWITCH_FORWARD_KEY":     "cGw0bnRlZHBsNG50ZWRwbDRudGVkcGw0bnRlZHBsNG4=",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "pl4nted") || strings.Contains(text, "cGw0bnRlZ") {
			t.Errorf("%s prints the token: %s", verb, text)
		}
	}
}

// TestAddresses: those that are listened on and sent to are checked whole.
func TestAddresses(t *testing.T) {
	for _, tt := range []struct{ variable, value, hint string }{
		{"HOOKSWITCH_LISTEN", ":99999", "up to 65535"},
		{"HOOKSWITCH_LISTEN", ":-1", "up to 65535"},
		{"HOOKSWITCH_LISTEN", ":", "up to 65535"},
		{"HOOKSWITCH_LISTEN", ":webhooks", "up to 65535"},
		{"HOOKSWITCH_LISTEN", "::1:8080", "in brackets"},
		{"HOOKSWITCH_LISTEN", "http://127.0.0.1:8080", "is a URL"},
		{"HOOKSWITCH_LISTEN", "*:8080", "write :8080"},
		{"HOOKSWITCH_LISTEN", "999.0.0.1:8080", "not an IP address"},
		{"HOOKSWITCH_LISTEN", "a b:8080", "neither a name"},
		{"HOOKSWITCH_LISTEN", "-a:8080", "neither a name"},
		{"HOOKSWITCH_LISTEN", "127.0.0.1:9080", "HOOKSWITCH_LISTEN"}, // that of HOOKSWITCH_ADMIN_LISTEN
		{"HOOKSWITCH_ADMIN_LISTEN", "127.0.0.1:65536", "up to 65535"},
		{"HOOKSWITCH_METRICS_LISTEN", "127.0.0.1:x", "up to 65535"},
		{"HOOKSWITCH_METRICS_LISTEN", "0.0.0.0:8080", "is the address of HOOKSWITCH_LISTEN"},
		{"HOOKSWITCH_FORWARD_TO", "http://127.0.0.1:99999/", "up to 65535"},
		{"HOOKSWITCH_FORWARD_TO", "http://127.0.0.1:0/", "port 0"},
		{"HOOKSWITCH_FORWARD_TO", "http://:5000/", "no host"},
		{"HOOKSWITCH_FORWARD_TO", "http://256.0.0.1:5000/", "not an IP address"},
		{"HOOKSWITCH_FORWARD_TO", "http://my_app..local/", "neither a name"},
		{"HOOKSWITCH_FORWARD_TO", "http:127.0.0.1:5000", "http"},
		{"HOOKSWITCH_ROUTE_0_TO", "http://app:70000", "up to 65535"},
		{"HOOKSWITCH_ALERT_URL", "https://alerts.test:70000", "up to 65535"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:70000", "up to 65535"},
	} {
		t.Run(tt.variable+" "+tt.value, func(t *testing.T) {
			vars := map[string]string{"TELNYX_PUBLIC_KEY": goodKey, "HOOKSWITCH_ROUTE_0_TO": "http://app/", "HOOKSWITCH_ROUTE_0_MATCH": "*"}
			vars[tt.variable] = tt.value
			_, err := load(t, vars)
			if err == nil || !strings.Contains(err.Error(), tt.variable) || !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("%v, want %s, %q", err, tt.variable, tt.hint)
			}
		})
	}
	for variable, values := range map[string][]string{
		"HOOKSWITCH_LISTEN":     {":0", ":http", "[::]:8080", "[::1]:8080", "[fe80::1%lo]:80", "localhost:8080", "my-host.example.com.:8080"},
		"HOOKSWITCH_FORWARD_TO": {"http://app", "http://app:5000", "https://my_app:1/x?y=z", "http://[::1]:5000/", "http://münchen.example/", "http://app:/"},
	} {
		for _, value := range values {
			t.Run(variable+" "+value, func(t *testing.T) {
				if _, err := load(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey, variable: value}); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestTokens: white space around a token is not part of it, control characters
// are refused, and quotes that nobody took away are named.
func TestTokens(t *testing.T) {
	c, err := load(t, map[string]string{"TELNYX_PUBLIC_KEY": goodKey, "HOOKSWITCH_ADMIN_TOKEN": " \t" + planted + "\n "})
	if err != nil || string(c.AdminToken) != planted {
		t.Errorf("the token is %q, %v", string(c.AdminToken), err)
	}
	for _, bad := range []string{planted + "\n" + planted, "a\tb", "a\x7fb", "a\u0085b"} {
		if _, err := load(t, map[string]string{"HOOKSWITCH_ADMIN_TOKEN": bad}); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_ADMIN_TOKEN has a line break") || leaks(err.Error()) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, quoted := range []string{`"` + planted + `"`, "'" + planted + "'", "“" + planted + "”"} {
		c, err := load(t, map[string]string{"HOOKSWITCH_ADMIN_TOKEN": quoted})
		text := strings.Join(c.Warnings(), "\n")
		if err != nil || !strings.Contains(text, "HOOKSWITCH_ADMIN_TOKEN: the quotes around the value are part of it: remove them") || leaks(text) {
			t.Errorf("%v; %s", err, text)
		}
	}
	for _, plain := range []string{`"`, `a"b"c`, `"a`, "it's"} {
		if c, err := load(t, map[string]string{"HOOKSWITCH_ADMIN_TOKEN": plain}); err != nil || len(c.Warnings()) > 0 {
			t.Errorf("%q: %v, %q", plain, err, c.Warnings())
		}
	}
	t.Setenv("HOOKSWITCH_ADMIN_TOKEN", "")
	_, err = load(t, map[string]string{"HOOKSWITCH_TIMEOUT": `"30s"`})
	if err == nil || !strings.Contains(err.Error(), "is not a duration") || !strings.Contains(err.Error(), "remove them") {
		t.Errorf("a quoted duration: %v", err)
	}
}
