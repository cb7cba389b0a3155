package sidecar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/sidecar"
)

const goodKey = "eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg="

// load reads a configuration from the given variables and checks it.
func load(t *testing.T, vars map[string]string) (sidecar.Config, error) {
	t.Helper()
	for name, value := range vars {
		t.Setenv(name, value)
	}
	c, err := sidecar.LoadConfig()
	if err == nil {
		err = c.Validate()
	}
	return c, err
}

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
		c := sidecar.Config{Store: tt.store, StateDirectory: tt.state}
		if got, err := c.Dir(); err != nil || got != tt.want {
			t.Errorf("store %q, state %q: %q, %v; want %q", tt.store, tt.state, got, err, tt.want)
		}
	}
}

// TestBadConfigurations: each error names its variable and hints at the fix,
// and none repeats what may be secret.
func TestBadConfigurations(t *testing.T) {
	const planted = "pl4ntedS3cret"
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
		{"HOOKSWITCH_RETRY_SCHEDULE", "5s,soon", "no duration"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "5s,-1s", "negative"},
		{"HOOKSWITCH_RETRY_SCHEDULE", "0s", "0"},
		{"HOOKSWITCH_TIMEOUT", "30", "did you mean 30s"},
		{"HOOKSWITCH_TIMEOUT", "0s", "more than 0"},
		{"HOOKSWITCH_TOLERANCE", "5", "5m"},
		{"HOOKSWITCH_SHUTDOWN_TIMEOUT", "x", "no duration"},
		{"HOOKSWITCH_CONCURRENCY", "many", "whole number"},
		{"HOOKSWITCH_CONCURRENCY", "0", "at least 1"},
		{"HOOKSWITCH_USER_ID", "me", "UUID"},
		{"HOOKSWITCH_LOG_LEVEL", "loud", "debug"},
		{"HOOKSWITCH_LOG_FORMAT", "xml", "json"},
	} {
		t.Run(tt.variable+" "+tt.value, func(t *testing.T) {
			vars := map[string]string{"TELNYX_PUBLIC_KEY": goodKey, tt.variable: tt.value}
			_, err := load(t, vars)
			if err == nil {
				t.Fatal("accepted")
			}
			if text := err.Error(); !strings.Contains(text, tt.variable) || !strings.Contains(text, tt.hint) || strings.Contains(text, planted) {
				t.Errorf("error %q: want %s, %q, and no secret", text, tt.variable, tt.hint)
			}
		})
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
	c := sidecar.Config{AdminToken: "pl4nted"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); strings.Contains(text, "pl4nted") {
			t.Errorf("%s prints the token: %s", verb, text)
		}
	}
}
