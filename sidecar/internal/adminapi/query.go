package adminapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/sidecar/internal/spelling"
	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

// Filter selects events. It is the same in query parameters, in a body, and on
// the command line.
type Filter struct {
	IDs    []string `json:"ids,omitempty"`    // of events or deliveries
	Types  []string `json:"types,omitempty"`  // exact, "message.*" or "*"
	Target string   `json:"target,omitempty"` // "forward:default"
	Status string   `json:"status,omitempty"` // pending, retrying, done, dead, discarded, unhandled
	Since  string   `json:"since,omitempty"`  // RFC 3339, or how long ago: "2h"
	Until  string   `json:"until,omitempty"`
	Text   string   `json:"text,omitempty"`  // in the body
	Error  string   `json:"error,omitempty"` // of the latest attempt, all of it

	// All confirms that a filter is meant to select everything.
	All bool `json:"all,omitempty"`
}

// filterFields has the setters of a filter by their names in a query string and
// on the command line.
var filterFields = map[string]func(*Filter, string){
	"id":     func(f *Filter, v string) { f.IDs = append(f.IDs, strings.Split(v, ",")...) },
	"type":   func(f *Filter, v string) { f.Types = append(f.Types, strings.Split(v, ",")...) },
	"target": func(f *Filter, v string) { f.Target = v },
	"status": func(f *Filter, v string) { f.Status = v },
	"since":  func(f *Filter, v string) { f.Since = v },
	"until":  func(f *Filter, v string) { f.Until = v },
	"text":   func(f *Filter, v string) { f.Text = v },
	"error":  func(f *Filter, v string) { f.Error = v },
}

// ParseFilter reads a filter as it is written on the command line: words like
// status=dead separated by spaces.
func ParseFilter(text string) (Filter, error) {
	var f Filter
	for word := range strings.FieldsSeq(text) {
		name, value, found := strings.Cut(word, "=")
		set := filterFields[name]
		if !found || set == nil {
			return f, fmt.Errorf("filter: %q: write words like status=dead, of %s", word, strings.Join(slices.Sorted(maps.Keys(filterFields)), ", "))
		}
		set(&f, value)
	}
	return f, nil
}

// Empty reports whether f selects everything.
func (f Filter) Empty() bool {
	return len(f.IDs) == 0 && len(f.Types) == 0 && f.Target == "" && f.Status == "" &&
		f.Since == "" && f.Until == "" && f.Text == "" && f.Error == ""
}

// query turns f into the store's query.
func (f Filter) query(now time.Time) (q store.Query, err error) {
	q = store.Query{IDs: f.IDs, Types: f.Types, Target: f.Target, Text: f.Text, Error: f.Error, Status: store.Status(f.Status)}
	for _, p := range f.Types {
		if err := event.CheckPattern(p); err != nil {
			return q, badRequest("type: " + strings.TrimPrefix(err.Error(), "event: "))
		}
	}
	names := []string{"pending", "retrying", "done", "dead", "discarded", "unhandled"} // of store.Status
	if f.Status != "" && !slices.Contains(names, f.Status) {
		return q, badStatus(f.Status, names...)
	}
	if q.Since, err = parseTime("since", f.Since, now); err != nil {
		return q, err
	}
	q.Until, err = parseTime("until", f.Until, now)
	return q, err
}

// Check returns what is wrong with f as a filter of stored events, as the API does.
func (f Filter) Check() error {
	_, err := f.query(time.Now())
	return err
}

// CheckLive is Check for a stream.
func (f Filter) CheckLive() error {
	if _, err := f.live(); err != nil {
		return err
	}
	_, err := parseTime("since", f.Since, time.Now())
	return err
}

// badStatus refuses a status that is not one of names, and suggests the one that may
// have been meant.
func badStatus(status string, names ...string) error {
	hint, last := "", len(names)-1
	if guess := spelling.Closest(strings.ToLower(status), names); guess != "" {
		hint = fmt.Sprintf(": did you mean %q?", guess)
	}
	return badRequest(fmt.Sprintf("status: %q must be %s or %s%s", status, strings.Join(names[:last], ", "), names[last], hint))
}

// parseTime reads a time, or how long ago it was.
func parseTime(name, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if d, err := ago(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, badRequest(fmt.Sprintf("%s: %q is not a time: write it like 2026-11-24T14:00:00Z, or how long ago it was, like 2h or 1d", name, text))
}

// ago reads a duration that may begin with weeks or days of 24 hours: 2w, 1d12h.
func ago(text string) (d time.Duration, err error) {
	for _, unit := range []struct {
		name  string
		hours int
	}{{"w", 7 * 24}, {"d", 24}} {
		count, rest, found := strings.Cut(text, unit.name)
		if !found {
			continue
		}
		n, err := strconv.ParseUint(count, 10, 10)
		if err != nil {
			return 0, err
		}
		d += time.Duration(n) * time.Duration(unit.hours) * time.Hour
		if text = rest; text == "" {
			return d, nil
		}
	}
	rest, err := time.ParseDuration(text)
	if rest < 0 {
		return 0, errors.New("in the future")
	}
	return d + rest, err
}

// parameters reads the query string of a request into a filter. Other names are
// passed to other, which reports whether it knows them.
func parameters(r *http.Request, other func(name, value string) (bool, error)) (Filter, error) {
	var f Filter
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return f, badRequest("the query string cannot be read: " + err.Error())
	}
	for name, list := range values {
		for _, value := range list {
			if set := filterFields[name]; set != nil {
				set(&f, value)
				continue
			}
			known := false
			if other != nil {
				if known, err = other(name, value); err != nil {
					return f, err
				}
			}
			if !known {
				return f, badRequest(fmt.Sprintf("there is no parameter %q here", name))
			}
		}
	}
	return f, nil
}

// queryOf is parameters as the store's query.
func queryOf(r *http.Request, other func(name, value string) (bool, error)) (store.Query, error) {
	f, err := parameters(r, other)
	if err != nil {
		return store.Query{}, err
	}
	return f.query(time.Now())
}

const (
	defaultLimit = 50
	maxLimit     = 200
)

// page is the requested part of a list.
type page struct {
	limit  int
	before int64
}

// read reads limit and cursor.
func (p *page) read(name, value string) (bool, error) {
	switch name {
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxLimit {
			return true, badRequest(fmt.Sprintf("limit: %q is not a number from 1 to %d", value, maxLimit))
		}
		p.limit = n
	case "cursor":
		n, err := strconv.ParseInt(value, 36, 64)
		if err != nil || n < 1 {
			return true, badRequest("cursor: it does not come from next_cursor")
		}
		p.before = n
	default:
		return false, nil
	}
	return true, nil
}

func cursor(next int64) string {
	if next == 0 {
		return ""
	}
	return strconv.FormatInt(next, 36)
}

// maxRequest is the largest body of a request: some ten thousand ids.
const maxRequest = 1 << 20

// readBody reads the JSON of a request into v.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.Decode(new(json.RawMessage)) != io.EOF {
		err = errors.New("there is more behind it")
	}
	if err != nil {
		return badRequest("the body is not the JSON that is expected here: " + err.Error())
	}
	return nil
}
