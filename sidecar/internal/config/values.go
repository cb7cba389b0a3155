package config

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// Keys is a ring of public keys in the form of TELNYX_PUBLIC_KEY.
type Keys struct {
	Ring *webhook.KeyRing // nil if the variable is not set
}

// UnmarshalText parses the keys. Its errors do not repeat them.
func (k *Keys) UnmarshalText(text []byte) error {
	ring, err := webhook.ParseKeys(string(text))
	if err != nil {
		return errors.New("is not a list of public keys: " + strings.TrimPrefix(err.Error(), "webhook: "))
	}
	k.Ring = ring
	return nil
}

// Redacted returns the labels of the keys and the end of each key: keys are
// public, but a text pasted here by mistake may not be.
func (k Keys) Redacted() string {
	var items []string
	for _, key := range k.Ring.Keys() {
		text := base64.StdEncoding.EncodeToString(key.Public)
		items = append(items, key.Label+":…"+text[len(text)-5:])
	}
	return strings.Join(items, ",")
}

// Secret is a setting that must not be shown. It prints as stars.
type Secret string

// UnmarshalText removes white space around the secret, which comes from a file or
// from copying and is part of no secret.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(strings.TrimSpace(string(text)))
	return nil
}

// validateSecrets refuses secrets that no header can carry.
func (c *Config) validateSecrets(problem *Error) {
	for _, s := range c.settings() {
		if secret, ok := s.value.Interface().(Secret); ok && strings.ContainsFunc(string(secret), unicode.IsControl) {
			problem.add(s.variable, "has a line break, a tab or another control character in it: copy it once more, in one line")
		}
	}
}

// String hides the secret.
func (Secret) String() string { return stars }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(stars), nil }

// GoString hides the secret.
func (Secret) GoString() string { return stars }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(stars) }

// Duration is a length of time, written like 5s or 1m30s.
type Duration time.Duration

// UnmarshalText parses the duration.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := parseDuration(string(text))
	*d = Duration(v)
	return err
}

// String returns the duration in its shortest form: 5m, not 5m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText returns the duration as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Schedule is a list of durations separated by commas.
type Schedule delivery.Schedule

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
			return fmt.Errorf("has %q, which %w", strings.TrimSpace(item), err)
		}
		if wait == 0 {
			return errors.New("has a wait of 0: a target that fails at once would be called without a pause")
		}
		*s = append(*s, wait)
	}
	return nil
}

// MarshalText returns the schedule as UnmarshalText reads it.
func (s Schedule) MarshalText() ([]byte, error) {
	if len(s) == 0 {
		return []byte("none"), nil
	}
	waits := make([]string, len(s))
	for i, wait := range s {
		waits[i] = Duration(wait).String()
	}
	return []byte(strings.Join(waits, ",")), nil
}

// ByteSize is a number of bytes, written like 5GiB, 500MB or 1048576.
type ByteSize int64

// byteUnits are the units of a ByteSize, longer names first.
var byteUnits = []struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1},
}

// UnmarshalText parses the size.
func (b *ByteSize) UnmarshalText(text []byte) error {
	number, factor := strings.ToLower(strings.TrimSpace(string(text))), 1.0
	for _, unit := range byteUnits {
		if rest, ok := strings.CutSuffix(number, unit.name); ok {
			number, factor = strings.TrimSpace(rest), unit.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n >= 0 && n*factor < 1<<62) {
		return errors.New("is not a size: write it like 500MB or 5GiB")
	}
	*b = ByteSize(n * factor)
	return nil
}

// MarshalText returns the size in the largest unit that leaves it whole.
func (b ByteSize) MarshalText() ([]byte, error) {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if size := ByteSize(1) << (10 * (4 - i)); b > 0 && b%size == 0 {
			return fmt.Appendf(nil, "%d%s", b/size, unit), nil
		}
	}
	return strconv.AppendInt(nil, int64(b), 10), nil
}

// OrderBy is the common key of events that are delivered in order.
type OrderBy string

// UnmarshalText checks the text; see [Config].OrderBy.
func (o *OrderBy) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	if s != "none" && s != "entity" && (!strings.Contains(s, ".") || strings.Contains("."+s+".", "..")) {
		return errors.New("is not an order: use none, entity, or a field of the body such as payload.call_session_id")
	}
	*o = OrderBy(s)
	return nil
}

// Entity returns the function that finds the entity of an event, or nil if there
// is no order.
func (o OrderBy) Entity() func(*webhook.Event) string {
	switch o {
	case "", "none":
		return nil
	case "entity":
		return (*webhook.Event).Entity
	}
	path := strings.Split(string(o), ".")
	return func(e *webhook.Event) string { return field(e.Raw, path) }
}

// field returns the text or number at a path of a body, below "data" if the
// body has that, and "" if there is none.
func field(body []byte, path []string) string {
	var top struct {
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &top) != nil {
		return ""
	}
	value := json.RawMessage(body)
	if len(top.Data) > 0 && path[0] != "data" {
		value = top.Data
	}
	for _, name := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(value, &object) != nil {
			return ""
		}
		value = object[name]
	}
	var text string
	switch {
	case len(value) == 0 || value[0] == '{' || value[0] == '[' || string(value) == "null":
		return ""
	case json.Unmarshal(value, &text) == nil:
		return text
	}
	return string(value)
}

// Headers are HTTP headers written "Name:value", separated by commas. They may
// be secret and print as stars.
type Headers struct{ header http.Header }

// Header returns the headers.
func (h Headers) Header() http.Header { return h.header.Clone() }

// UnmarshalText parses the headers. Its errors do not repeat their values.
func (h *Headers) UnmarshalText(text []byte) error {
	h.header = make(http.Header)
	for item := range strings.SplitSeq(string(text), ",") {
		name, value, found := strings.Cut(item, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !found:
			return errors.New("has an item without a colon: write it like X-Team:voice,X-Stage:test")
		case !isHeaderName(name):
			return errors.New("has a name that is not valid in HTTP: use letters, digits and dashes")
		case strings.ContainsFunc(value, unicode.IsControl):
			return fmt.Errorf("has a value for %s that is not valid in HTTP", name)
		}
		h.header.Add(name, value)
	}
	return nil
}

// isHeaderName reports whether s has letters, digits and dashes only: less than
// HTTP allows, and all that anybody uses.
func isHeaderName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// Redacted returns the names of the headers.
func (h Headers) Redacted() string {
	var items []string
	for name := range h.header {
		items = append(items, name+":"+stars)
	}
	slices.Sort(items)
	return strings.Join(items, ",")
}

// String hides the values.
func (Headers) String() string { return stars }

// GoString hides the values.
func (Headers) GoString() string { return stars }

// LogValue hides the values.
func (Headers) LogValue() slog.Value { return slog.StringValue(stars) }

// parseDuration does not repeat s in its errors, except in suggestions.
func parseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(s)
	d, err := time.ParseDuration(s)
	switch {
	case err == nil && d < 0:
		return 0, errors.New("is negative: write it like 5s, 2m or 1h30m")
	case err == nil:
		return d, nil
	case s != "" && strings.Trim(s, "0123456789.") == "":
		return 0, fmt.Errorf("needs a unit: did you mean %ss or %sm?", s, s)
	}
	for unit, hours := range map[string]int{"d": 24, "w": 7 * 24} {
		number, ok := strings.CutSuffix(s, unit)
		if n, err := strconv.Atoi(number); ok && err == nil && n >= 0 && n < 1e5 {
			return 0, fmt.Errorf("has the unit %s, and h is the largest: did you mean %dh?", unit, n*hours)
		}
	}
	return 0, errors.New("is not a duration: write it like 5s, 2m or 1h30m")
}
