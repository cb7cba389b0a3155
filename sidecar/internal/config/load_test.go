package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const testKey = "eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg="

// TestEveryFieldIsDescribed keeps the reference complete, and the names of
// variables apart.
func TestEveryFieldIsDescribed(t *testing.T) {
	variables := make(map[string]bool)
	for _, s := range reference() {
		name := s.field.Name
		if variables[s.variable] {
			t.Errorf("two fields are set by %s", s.variable)
		}
		variables[s.variable] = true
		desc := s.tag("desc")
		switch {
		case desc == "":
			t.Errorf("%s (%s) has no desc tag: say in one short sentence what it is", name, s.variable)
		case len(desc) > 100 || strings.HasSuffix(desc, ".") || desc[:1] == strings.ToUpper(desc[:1]) && desc[:1] != "U":
			t.Errorf("%s: desc %q: use one short sentence that begins in lower case and has no full stop", name, desc)
		}
		if !slices.Contains([]string{"", "true"}, s.tag("reload")) || !slices.Contains([]string{"", "true", "url"}, s.tag("secret")) {
			t.Errorf("%s: reload is \"true\" or not there, and secret \"true\", \"url\" or not there", name)
		}
		if serviceLink.MatchString(s.variable) {
			t.Errorf("%s has a name that Kubernetes could set", s.variable)
		}
	}
	for _, s := range reference() {
		if s.isSecret() && variables[s.fileVariable()] {
			t.Errorf("%s is a setting and the file of a secret", s.fileVariable())
		}
	}
}

// TestFieldsThatAreNoSettings: a field that lacks its tag is noticed. Errors
// find a variable by the name of its field, so a struct has no other in it.
func TestFieldsThatAreNoSettings(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		if f.Tag.Get("env") == "" && f.Name != "loaded" && !f.Anonymous {
			t.Errorf("field %s has no env tag", f.Name)
		}
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestEnvFile(t *testing.T) {
	path := write(t, ".env", "\ufeff# a comment\n\nHOOKSWITCH_LISTEN = :1 # where\nexport HOOKSWITCH_PATHS='/a # b'\r\n"+
		"HOOKSWITCH_ADMIN_TOKEN=\"a\\\"b\\\\c\\nd$HOME\" # it\nHOOKSWITCH_FORWARD_TO=http://h/#x\nHOOKSWITCH_CONCURRENCY=\nHOOKSWITCH_USER_ID=#\n")
	c, err := From([]string{"HOOKSWITCH_LISTEN=", "HOOKSWITCH_DATA_DIR=/env"}, path)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != ":1" || c.Paths[0] != "/a # b" || c.AdminToken != "a\"b\\c\nd$HOME" || c.ForwardTo != "http://h/#x" || c.Concurrency != 16 || c.DataDir != "/env" {
		t.Errorf("%s, token %q", c, string(c.AdminToken))
	}
	over, err := From([]string{"HOOKSWITCH_LISTEN=:2"}, path, write(t, "b", "HOOKSWITCH_PATHS=/c"))
	if err != nil || over.Listen != ":2" || over.Paths[0] != "/c" {
		t.Errorf("the environment wins over files, and later files over earlier: %s, %v", over, err)
	}
	if !slices.Contains(c.Environ(), "HOOKSWITCH_DATA_DIR=/env") || !slices.Contains(c.Environ(), "HOOKSWITCH_LISTEN=:1") {
		t.Errorf("plugins may be given %q", c.Environ())
	}
}

func TestBadEnvFiles(t *testing.T) {
	path := write(t, ".env", "A=1\nplanted\n=planted\nB C=planted\nA=planted\nD=\"planted\nE='planted' planted\nF=\"\\planted\"\nG=\"planted\\\n")
	_, err := From(nil, path, "/does/not/exist")
	if err == nil {
		t.Fatal("accepted")
	}
	_, old := From(nil, write(t, "old", "HOOKSWITCH_PLUGIN_ALLOW_ROOT=true"))
	text := err.Error() + fmt.Sprint(old)
	for _, want := range []string{
		"HOOKSWITCH_PLUGIN_ALLOW_ROOT is no longer a setting: remove it, and set HOOKSWITCH_PLUGIN_USER=root",
		path + ":2: has no \"=\"", path + ":3: has no variable name", path + ":4: has no variable name", path + ":5: A is already set in line 1",
		path + ":6: D has no closing \"", path + ":7: E has text behind", path + ":8: F has a backslash", path + ":9: G ends in a backslash",
		"/does/not/exist cannot be read: no such file or directory",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if strings.Contains(text, "planted") {
		t.Errorf("a value is repeated: %s", text)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	token := write(t, "token", "s3cret\r\n")
	c, err := From([]string{"HOOKSWITCH_ADMIN_TOKEN=", "HOOKSWITCH_ADMIN_TOKEN_FILE=" + token, "HOOKSWITCH_ROUTE_2_TO_FILE=" + write(t, "to", "http://h/")})
	if err != nil || c.AdminToken != "s3cret" || len(c.Routes) != 1 || c.Routes[0].To != "http://h/" || c.Routes[0].Number != 2 {
		t.Errorf("%q, %+v, %v", string(c.AdminToken), c.Routes, err)
	}
	if len(c.Warnings()) > 0 {
		t.Error(c.Warnings())
	}
	for _, tt := range []struct{ file, value, want string }{
		{token, "x", "HOOKSWITCH_ADMIN_TOKEN_FILE=\"" + token + "\" is set as well as HOOKSWITCH_ADMIN_TOKEN: set one"},
		{"/does/not/exist", "", "HOOKSWITCH_ADMIN_TOKEN_FILE=\"/does/not/exist\" cannot be read: no such file"},
		{write(t, "e", "\n"), "", "is an empty file"},
		{t.TempDir(), "", "is a directory"},
	} {
		_, err := From([]string{"HOOKSWITCH_ADMIN_TOKEN=" + tt.value, "HOOKSWITCH_ADMIN_TOKEN_FILE=" + tt.file})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.file, err, tt.want)
		}
	}
}

// TestSystemdIsNoSetting: the variables of systemd come from the environment of the
// process, never from a file.
func TestSystemdIsNoSetting(t *testing.T) {
	environ := []string{"STATE_DIRECTORY=/a", "NOTIFY_SOCKET=/b", "WATCHDOG_USEC=1", "WATCHDOG_PID=2"}
	want := Systemd{StateDirectory: "/a", NotifySocket: "/b", WatchdogUsec: "1", WatchdogPID: "2"}
	if c, err := From(environ); err != nil || c.Systemd != want {
		t.Errorf("%+v, %v", c.Systemd, err)
	}
	if c, err := From(nil, write(t, "env", strings.Join(environ, "\n"))); err != nil || c.Systemd != (Systemd{}) {
		t.Errorf("from a file of variables: %+v, %v", c.Systemd, err)
	}
}

func TestUnknownNames(t *testing.T) {
	for name, want := range map[string]string{
		"HOOKSWITCH_FORWRD_TO":           "did you mean HOOKSWITCH_FORWARD_TO?",
		"HOOKSWITCH_ADMIN_TOKEN_FIEL":    "did you mean HOOKSWITCH_ADMIN_TOKEN_FILE?",
		"HOOKSWITCH_ROUTE_3_MACTH":       "did you mean HOOKSWITCH_ROUTE_3_MATCH?",
		"HOOKSWITCH_ROUTE_MATCH":         "did you mean HOOKSWITCH_ROUTE_0_MATCH?",
		"HOOKSWITCH_SOMETHING_ELSE":      "HOOKSWITCH_PLUGIN_ENV",
		"HOOKSWITCH_CRM_URL":             "", // for a plugin
		"HOOKSWITCH_SERVICE_HOST":        "",
		"HOOKSWITCH_SERVICE_PORT_HTTP":   "",
		"HOOKSWITCH_PORT":                "",
		"HOOKSWITCH_PORT_8080_TCP_ADDR":  "",
		"HOOKSWITCH_ADMIN_SERVICE_HOST":  "",
		"HOOKSWITCH_PLUGIN_ALLOW_ROOT":   "", // an error
		"HOOKSWITCH_ADMIN_PORT_9080_TCP": "",
		"HOOKSWITCH_ROUTE_0_TO":          "",
		"TELNYX_API_KEY":                 "",
	} {
		c, _ := From([]string{"HOOKSWITCH_PLUGIN_ENV=HOOKSWITCH_CRM_URL", name + "=planted"})
		text := strings.Join(c.Warnings(), "\n")
		if want == "" && text != "" || !strings.Contains(text, want) || strings.Contains(text, "planted") || want != "" && !strings.Contains(text, name) {
			t.Errorf("%s: %q, want %q", name, text, want)
		}
	}
}

func TestProblemsOfBothKindsAtOnce(t *testing.T) {
	c, _ := From([]string{"HOOKSWITCH_TOLERANCE=5", "HOOKSWITCH_ADMIN_LISTEN=:9080", "HOOKSWITCH_ROUTE_7_TIMEOUT=x", "HOOKSWITCH_ROUTE_9_TIMEOUT=y", "HOOKSWITCH_CONCURRENCY=99999999999999999999"})
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"TELNYX_PUBLIC_KEY is not set", `HOOKSWITCH_TOLERANCE="5" needs a unit: did you mean 5s or 5m?`, `HOOKSWITCH_ADMIN_LISTEN=":9080" can be reached`,
		`HOOKSWITCH_ROUTE_7_TIMEOUT="x" is not a duration`, `HOOKSWITCH_ROUTE_9_TIMEOUT="y"`, "HOOKSWITCH_ROUTE_9_MATCH is not set", "too large",
	} {
		if strings.Count(err.Error(), want) != 1 {
			t.Errorf("%d times %q in %s", strings.Count(err.Error(), want), want, err)
		}
	}
}

func TestNumbersBeyond32Bits(t *testing.T) {
	c, err := From([]string{"HOOKSWITCH_MAX_DISK=5000000000"})
	if err != nil || c.MaxDisk != 5e9 {
		t.Error(c.MaxDisk, err)
	}
	c, err = From([]string{"HOOKSWITCH_CONCURRENCY=5000000000"})
	if strconv.IntSize == 32 {
		if err == nil || !strings.Contains(err.Error(), "too large") {
			t.Errorf("HOOKSWITCH_CONCURRENCY=5000000000: %v", err)
		}
	} else if err != nil || int64(c.Concurrency) != 5e9 {
		t.Error(c.Concurrency, err)
	}
}

func TestValuesAreWrittenAsTheyAreRead(t *testing.T) {
	for variable, texts := range map[string][]string{
		"HOOKSWITCH_TOLERANCE":      {"5m", "1h30m", "1h0m5s", "1.5s", "720h", "0s"},
		"HOOKSWITCH_MAX_DISK":       {"5GiB", "1MiB", "1025", "0"},
		"HOOKSWITCH_RETRY_SCHEDULE": {"5s,2m,24h", "none"},
		"HOOKSWITCH_LOG_LEVEL":      {"debug", "warn"},
		"HOOKSWITCH_PATHS":          {"/a,/b"},
		"HOOKSWITCH_ORDER_BY":       {"entity"},
	} {
		for _, text := range texts {
			c, err := From([]string{variable + "=" + text})
			if err != nil {
				t.Error(err)
			}
			for _, s := range c.settings() {
				if s.variable == variable && s.current() != text {
					t.Errorf("%s=%s is shown as %s", variable, text, s.current())
				}
			}
		}
	}
}

func TestURLsAreShownWithoutSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"http://u:p@h:1/a?token=x#y":     "http://***@h:1/a?***",
		"postgres://u:p@h/db?password=x": "postgres://***@h/db?***",
		"file:/var/lib/x":                "file:/var/lib/x",
		"file:data":                      "file:data",
		"file:///var/lib/x":              "file:/var/lib/x",
		"planted":                        "***",
		"u:planted@h":                    "***",
		"host=h password=planted":        "***",
		"http://u:pl%zzanted@h/":         "***",
		"http:planted":                   "***",
	} {
		if got := redactURL(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}

// TestEnvLine: errors do not repeat values, and text in single quotes is taken
// literally. (A fuzz target here would build the stores for fuzzing, which
// takes minutes.)
func TestEnvLine(t *testing.T) {
	const secret = "pl4nted"
	for _, value := range []string{"", "a b", "x # y", `"\n\"`, "\\", "$HOME", "é#", "\"", "a\"b", "\\\"", "#", " "} {
		for _, quote := range []string{"", `"`, "'"} {
			if _, _, err := envLine("NAME=" + quote + secret + value); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%q: %v", value, err)
			}
		}
		if _, got, err := envLine("export NAME='" + value + "' # " + value); err != nil || got != value {
			t.Errorf("%q is read as %q, %v", value, got, err)
		}
	}
}
