package sdk_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/plugins/sdk"
)

type crm struct {
	URL      string            `json:"url" required:"true" desc:"of the CRM"`
	Timeout  time.Duration     `json:"timeout" default:"5s"`
	Workers  uint8             `json:"workers" default:"4"`
	Enabled  bool              `json:"enabled" default:"true"`
	Ratio    float64           `json:"ratio"`
	Tags     []string          `json:"tags" default:"[\"a\",\"b\"]"`
	Headers  map[string]string `json:"headers"`
	Hosts    []host            `json:"hosts"`
	Mail     mail              `json:"mail"`
	Optional *int              `json:"optional"`
	Level    level             `json:"level" default:"low"`
	Anything json.RawMessage   `json:"anything"`
	shared
	Hidden string `json:"-"`
}

type shared struct {
	Region string `json:"region" default:"eu"`
}

type host struct {
	Name string `json:"name" required:"true"`
	Port uint16 `json:"port" default:"443"`
}

func (h *host) Validate() error {
	if h.Port == 22 {
		return sdk.Invalid("port", "must not be %d", h.Port)
	}
	return nil
}

type mail struct {
	From string `json:"from" default:"nobody@example.com"`
	Max  int    `json:"max"`
}

func (m mail) Validate() error {
	var errs []error
	if !strings.Contains(m.From, "@") {
		errs = append(errs, sdk.Invalid("from", "has no @"))
	}
	if m.Max < 0 {
		errs = append(errs, sdk.Invalid("max", "must not be negative"))
	}
	if m.Max == 99 {
		errs = append(errs, errors.New("99 is one too many"))
	}
	return errors.Join(errs...)
}

type level int

func (l *level) UnmarshalText(text []byte) error {
	switch string(text) {
	case "low":
		*l = 1
	case "high":
		*l = 2
	default:
		return errors.New(`must be "low" or "high"`)
	}
	return nil
}

func TestSettingsAreDecoded(t *testing.T) {
	var got crm
	c := sdk.Settings(func(_ context.Context, s *crm) error { got = *s; return nil })
	if _, err := c.Apply(t.Context(), []byte(`{"url": "https://crm.example", "tags": ["x"], "workers": 9, "timeout": "1m30s", "level": "high",
		"enabled": false, "optional": 0, "headers": {"A": "b"}, "hosts": [{"name": "h"}], "region": "us", "mail": {"max": 3}, "anything": [1, null]}`)); err != nil {
		t.Fatal(err)
	}
	if got.URL != "https://crm.example" || got.Timeout != 90*time.Second || got.Workers != 9 || got.Enabled || got.Level != 2 ||
		!slices.Equal(got.Tags, []string{"x"}) || got.Headers["A"] != "b" || len(got.Hosts) != 1 || got.Hosts[0] != (host{"h", 443}) ||
		got.Region != "us" || got.Optional == nil || got.Mail != (mail{"nobody@example.com", 3}) || string(got.Anything) != "[1, null]" {
		t.Errorf("got %+v", got)
	}

	if _, err := c.Apply(t.Context(), []byte(`{"url": "u", "mail": null, "ratio": null}`)); err != nil {
		t.Fatal(err)
	}
	if got.Timeout != 5*time.Second || got.Workers != 4 || !got.Enabled || got.Level != 1 || !slices.Equal(got.Tags, []string{"a", "b"}) ||
		got.Region != "eu" || got.Optional != nil || got.Mail.From != "nobody@example.com" || got.Hosts != nil {
		t.Errorf("defaults: got %+v", got)
	}

	var inner mail
	if _, err := sdk.Settings(func(_ context.Context, s *mail) error { inner = *s; return nil }).Apply(t.Context(), []byte("null\n")); err != nil || inner.From != "nobody@example.com" {
		t.Errorf("null: got %+v, %v", inner, err)
	}
}

func TestEveryMistakeIsReported(t *testing.T) {
	const good = `"url": "u"`
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing at all", ``, []string{`url: is required`}},
		{"null for all of it", ` null `, []string{`url: is required`}},
		{"null in a list", `{"url": "u", "hosts": [null]}`, []string{`hosts[0].name: is required`}},
		{"null is no value", `{"url": null}`, []string{`url: is required`}},
		{"a name that is nearly right", `{` + good + `, "timout": "5s"}`, []string{`timout: unknown setting, did you mean "timeout"?`}},
		{"a name in the wrong case", `{` + good + `, "Timeout": "5s"}`, []string{`Timeout: unknown setting, did you mean "timeout"?`}},
		{"a name that is nothing like any", `{` + good + `, "mail": {"password": "hunter2"}}`,
			[]string{`mail.password: unknown setting: there are from, max`}},
		{"wrong types, all of them", `{"url": 5, "timeout": 30, "workers": "9", "enabled": "yes", "ratio": {}, "tags": "a", "headers": [],
			"hosts": {}, "mail": true, "level": 3, "optional": 1.5}`,
			[]string{`url: must be text, found a number`,
				`timeout: must be a duration such as "30s" or "5m", found a number`,
				`workers: must be a whole number from 0 to 255, found text`,
				`enabled: must be true or false, found text`,
				`ratio: must be a number, found an object`,
				`tags: must be a list, found text`,
				`headers: must be an object, found a list`,
				`hosts: must be a list, found an object`,
				`mail: must be an object, found true`,
				`level: must be text, found a number`,
				`optional: must be a whole number, found a number with a fraction or exponent`}},
		{"out of range", `{` + good + `, "workers": 256}`, []string{`workers: must be a whole number from 0 to 255, found a number`}},
		{"text that is no duration", `{` + good + `, "timeout": "30"}`, []string{`timeout: must be a duration such as "30s" or "5m"`}},
		{"a type's own text", `{` + good + `, "level": "huge"}`, []string{`level: must be "low" or "high"`}},
		{"deep inside", `{` + good + `, "hosts": [{"name": "a"}, {"port": 22}, {"name": 1}], "headers": {"A": 1}}`,
			[]string{`hosts[1].name: is required`, `hosts[2].name: must be text, found a number`, `headers.A: must be text, found a number`,
				`hosts[1].port: must not be 22`}},
		{"Validate, several at once", `{` + good + `, "mail": {"from": "me", "max": -1}}`,
			[]string{`mail.from: has no @`, `mail.max: must not be negative`}},
		{"Validate, about the whole", `{` + good + `, "mail": {"max": 99}}`, []string{`mail: 99 is one too many`}},
		{"Validate does not add to what could not be read", `{` + good + `, "mail": {"from": 1, "max": "x"}}`,
			[]string{`mail.from: must be text, found a number`, `mail.max: must be a whole number, found text`}},
		{"twice", `{` + good + `, "url": "v"}`, []string{`url: is there twice`}},
		{"no object", `[]`, []string{`must be an object, found a list`}},
		{"no JSON", "{\n  \"url\": \"u\",\n}", []string{`the settings are not JSON: line 3, column 1: `}},
		{"cut off", `{"url": `, []string{`the settings are not JSON: line 1, column `}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			called := false
			_, err := sdk.Settings(func(context.Context, *crm) error { called = true; return nil }).Apply(t.Context(), []byte(tt.text))
			got := sdk.FieldErrors(err)
			for i, e := range got {
				if i >= len(tt.want) || !strings.HasPrefix(e.Error(), tt.want[i]) {
					t.Errorf("unexpected or in the wrong place: %s", e.Error())
				}
			}
			if len(got) < len(tt.want) {
				t.Errorf("got %d of %d: %v", len(got), len(tt.want), err)
			}
			if called {
				t.Error("the plugin was configured all the same")
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a value is in the error: %v", err)
			}
		})
	}
}

func TestErrorsOfTheFunction(t *testing.T) {
	c := sdk.Settings(func(context.Context, *struct{}) error {
		return errors.Join(sdk.Invalid("dir", "cannot be written"), errors.New("the disk is full"))
	})
	_, err := c.Apply(t.Context(), nil)
	got := sdk.FieldErrors(err)
	if want := []sdk.FieldError{{Field: "dir", Message: "cannot be written"}, {Message: "the disk is full"}}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := sdk.FieldErrors(nil); got != nil {
		t.Errorf("of nil: %q", got)
	}
}

func TestSettingsAsTheyAre(t *testing.T) {
	var got json.RawMessage
	c := sdk.Settings(func(_ context.Context, raw *json.RawMessage) error { got = *raw; return nil })
	for _, text := range []string{``, `{"any":"thing"}`, `5`} {
		if _, err := c.Apply(t.Context(), []byte(text)); err != nil || string(got) != text {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
		got = nil
	}
}

func TestSchema(t *testing.T) {
	schema := string(sdk.Settings[crm](nil).Schema())
	if !json.Valid([]byte(schema)) {
		t.Fatalf("no JSON: %s", schema)
	}
	for _, part := range []string{
		`"url":{"type":"string","description":"of the CRM"}`,
		`"timeout":{"type":"string","description":"a duration such as \"30s\" or \"5m\"","default":"5s"}`,
		`"workers":{"type":"integer","default":4,"minimum":0}`,
		`"tags":{"type":"array","default":["a","b"],"items":{"type":"string"}}`,
		`"headers":{"type":"object","additionalProperties":{"type":"string"}}`,
		`"region":{"type":"string","default":"eu"}`, `"level":{"type":"string","default":"low"}`,
		`"required":["url"],"additionalProperties":false`, `"anything":{}`,
	} {
		if !strings.Contains(schema, part) {
			t.Errorf("%s is not in %s", part, schema)
		}
	}
	if strings.Contains(strings.ToLower(schema), "hidden") {
		t.Errorf("a field that cannot be set is in %s", schema)
	}
}

func TestSettingsPanicsWhileWiring(t *testing.T) {
	type inner struct {
		Bad chan int `json:"bad"`
	}
	for want, wire := range map[string]func(){
		`field "inner.bad": a chan int has no JSON`: func() {
			sdk.Settings[struct {
				Inner inner `json:"inner"`
			}](nil)
		},
		`field "n": its default: n: must be a whole number, found text`: func() {
			sdk.Settings[struct {
				N int `json:"n" default:"many"`
			}](nil)
		},
		`field "region": two fields have this name`: func() {
			sdk.Settings[struct {
				Region string `json:"region"`
				shared
			}](nil)
		},
	} {
		func() {
			defer func() {
				if got, _ := recover().(string); got != "sdk: Settings: "+want {
					t.Errorf("got %q, want %q", got, want)
				}
			}()
			wire()
		}()
	}
}

type chosen struct {
	Types []string `json:"types"`
	Most  int      `json:"most"`
}

func (c *chosen) Events() []string { return c.Types }
func (c chosen) MaxInFlight() int  { return c.Most }

func TestSettingsChooseTheEvents(t *testing.T) {
	c := sdk.Settings[chosen](nil)
	got, err := c.Apply(t.Context(), []byte(`{"types": ["call.*", "fax.received"], "most": 3}`))
	if err != nil || !slices.Equal(got.Events, []string{"call.*", "fax.received"}) || got.MaxInFlight != 3 {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := c.Apply(t.Context(), nil); err != nil || got.Events != nil || got.MaxInFlight != 0 {
		t.Errorf("without settings: %+v, %v", got, err)
	}
	if _, err := c.Apply(t.Context(), []byte(`{"types": ["call.*.x"]}`)); err == nil || !strings.Contains(err.Error(), `"call.*.x"`) {
		t.Errorf("got %v", err)
	}
}
