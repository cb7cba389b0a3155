package config_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hookswitch/hookswitch/sidecar/internal/config"
)

// TestReferenceIsCurrent: the committed reference is the one that the program prints.
func TestReferenceIsCurrent(t *testing.T) {
	for format, file := range map[string]string{"md": "CONFIG.md", "env": "hookswitch.env.example", "jsonschema": "config.schema.json"} {
		want, err := config.Reference(format)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile("../../" + file)
		if diff := cmp.Diff(string(got), want); err != nil || diff != "" {
			t.Errorf("sidecar/%s is not what config.Config says: run \"make reference\" and commit it (-is +should be):\n%s", file, diff)
		}
	}
	if _, err := config.Reference("yaml"); err == nil {
		t.Error("there is a reference in yaml")
	}
}

// TestExampleFileIsRead: all that is commented out in the example is accepted.
func TestExampleFileIsRead(t *testing.T) {
	text, err := config.Reference("env")
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^#([A-Z])`).ReplaceAllString(text, "$1")
	text = strings.Replace(text, "TELNYX_PUBLIC_KEY=", "TELNYX_PUBLIC_KEY="+goodKey, 1)
	text = regexp.MustCompile(`(?m)^HOOKSWITCH_TLS_.*`).ReplaceAllString(text, "") // files that are not there
	path := t.TempDir() + "/.env"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		t.Errorf("%v in:\n%s", err, text)
	}
}

// TestSchemaAllowsDefaults: its patterns compile and match what they describe.
func TestSchemaAllowsDefaults(t *testing.T) {
	text, err := config.Reference("jsonschema")
	if err != nil {
		t.Fatal(err)
	}
	type property struct {
		Default, Pattern string
		Examples         []string
		WriteOnly        bool
	}
	var schema struct{ Properties, PatternProperties map[string]property }
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	if !schema.Properties["HOOKSWITCH_ADMIN_TOKEN"].WriteOnly || schema.Properties["HOOKSWITCH_ADMIN_TOKEN_FILE"].WriteOnly {
		t.Error("a secret, and no other, is write only")
	}
	if len(schema.PatternProperties) < 5 {
		t.Errorf("patterns for %d settings of routes", len(schema.PatternProperties))
	}
	for name, p := range schema.Properties {
		pattern := regexp.MustCompile(p.Pattern)
		for _, value := range append(p.Examples, p.Default) {
			if !pattern.MatchString(value) {
				t.Errorf("%s=%s does not match %s", name, value, p.Pattern)
			}
		}
	}
	for _, bad := range []string{"5", "soon", "-5s"} {
		if regexp.MustCompile(schema.Properties["HOOKSWITCH_TIMEOUT"].Pattern).MatchString(bad) {
			t.Errorf("the schema takes a timeout of %q", bad)
		}
	}
}
