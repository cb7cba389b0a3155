package deliveryapi

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/sidecar/internal/store"
)

const (
	defaultSize = 20
	maxSize     = 250

	// maxOffset keeps the offset of a page far beyond any end from
	// overflowing, even where an int has 32 bits. There are no records beyond it.
	maxOffset = 1 << 30

	// maxProblems bounds an answer; this many are enough to start with.
	maxProblems = 20
)

// query holds the parameters of a list request.
type query struct {
	number int64 // as requested, on 32-bit machines too: the answer repeats it
	size   int
	filter store.Filter
}

// parseQuery reads the parameters of a list request, or returns all that is wrong
// with them.
func parseQuery(raw string) (query, []apiError) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return query{}, []apiError{newError("10027", "Unprocessable Entity", "The query string cannot be read: "+err.Error()+".")}
	}
	p := parser{query: query{number: 1, size: defaultSize}, seen: make(map[string]string)}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, isPage := pages[canonicalName(name)]; isPage {
			continue
		}
		for _, value := range values[name] {
			p.parameter(name, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		p.page(raw, name)
	}
	if len(p.problems) > 0 {
		return query{}, p.problems[:min(len(p.problems), maxProblems)]
	}
	p.filter.Limit = p.size
	p.filter.Offset = int(min(p.number-1, maxOffset/int64(p.size))) * p.size
	return p.query, nil
}

type parser struct {
	query
	seen     map[string]string // value of each parameter by canonical name, however it was spelled
	problems []apiError
}

func (p *parser) parameter(name, value string) {
	canonical := canonicalName(name)
	if canonical == "filter.event_type" { // the one that may come in parts
		p.eventTypes(name, value)
		return
	}
	set, known := parameters[canonical]
	switch {
	case known:
	case strings.HasPrefix(canonical, "filter"):
		p.refuse(name, "There is no such filter. The filters are filter[status][eq], filter[event_type], "+
			"filter[webhook][contains], filter[attempts][contains], filter[started_at][gte] and [lte], "+
			"filter[finished_at][gte] and [lte].")
		return
	case strings.HasPrefix(canonical, "page"):
		p.refuse(name, "There is no such parameter. Pages are chosen with page[number] and page[size].")
		return
	default:
		return // chooses nothing, so ignoring it cannot mislead
	}
	if before, again := p.seen[canonical]; again && before != value {
		p.refuse(name, fmt.Sprintf("It is given more than once, as %s and %s.", quote(before), quote(value)))
		return
	}
	p.seen[canonical] = value
	if problem := set(&p.query, value); problem != "" {
		p.refuse(name, problem)
	}
}

// page reads a parameter that chooses a page. The last one given counts, and one
// spelled page[number] counts before any other spelling: the iterators of
// Telnyx's clients leave the caller's page_number, or first page[number], where
// it is and add theirs.
func (p *parser) page(raw, canonical string) {
	name, value, bracketed := "", "", false
	for pair := range strings.SplitSeq(raw, "&") {
		k, v, _ := strings.Cut(pair, "=")
		k, _ = url.QueryUnescape(k) // the whole query has been read before
		if canonicalName(k) != canonical || bracketed && !strings.Contains(k, "[") {
			continue
		}
		name, bracketed = k, strings.Contains(k, "[")
		value, _ = url.QueryUnescape(v)
	}
	if name == "" {
		return
	}
	if problem := pages[canonical](&p.query, value); problem != "" {
		p.refuse(name, problem)
	}
}

func (p *parser) refuse(name, detail string) {
	e := newError("10027", "Unprocessable Entity", detail)
	e.Source = &errorSource{Parameter: clip(name)}
	p.problems = append(p.problems, e)
}

// eventTypes adds to the requested types. Lists are separated by commas; the
// parameter may also be repeated, as clients with other list formats do.
func (p *parser) eventTypes(name, list string) {
	found := false
	for t := range strings.SplitSeq(list, ",") {
		if t = strings.TrimSpace(t); t != "" {
			found = true
			p.filter.EventTypes = append(p.filter.EventTypes, t)
		}
	}
	if !found {
		p.refuse(name, "It names no event type. Leave it out to get all.")
	}
}

// parameters has a setter for each parameter by its canonical name. A setter
// returns a sentence about what is wrong with the value, or "".
var parameters = map[string]func(q *query, value string) string{
	"filter.status":          setStatus,
	"filter.webhook":         func(q *query, s string) string { q.filter.WebhookContains = s; return "" },
	"filter.attempts":        func(q *query, s string) string { q.filter.AttemptsContains = s; return "" },
	"filter.started_at.gte":  from(func(q *query) *time.Time { return &q.filter.StartedFrom }),
	"filter.started_at.lte":  to(func(q *query) *time.Time { return &q.filter.StartedTo }),
	"filter.finished_at.gte": from(func(q *query) *time.Time { return &q.filter.FinishedFrom }),
	"filter.finished_at.lte": to(func(q *query) *time.Time { return &q.filter.FinishedTo }),
}

// pages has those that choose a page, see parser.page.
var pages = map[string]func(q *query, value string) string{
	"page.number": setNumber,
	"page.size":   setSize,
}

// canonicalName undoes the spellings that clients use for nested names:
// filter[status][eq], filter.status.eq, filter[event_type][], page_number.
// An operator that is the only one its filter has may be left out.
func canonicalName(name string) string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '[' || r == ']' || r == '.' })
	switch canonical := strings.Join(parts, "."); canonical {
	case "page_number":
		return "page.number"
	case "page_size":
		return "page.size"
	case "filter.status.eq":
		return "filter.status"
	case "filter.webhook.contains":
		return "filter.webhook"
	case "filter.attempts.contains":
		return "filter.attempts"
	case "filter.event_type.eq", "filter.event_type.in":
		return "filter.event_type"
	default:
		if index, isType := strings.CutPrefix(canonical, "filter.event_type."); isType && strings.Trim(index, "0123456789") == "" {
			return "filter.event_type" // filter[event_type][0]
		}
		return canonical
	}
}

func setStatus(q *query, value string) string {
	wanted := make(map[string]bool)
	for s := range strings.SplitSeq(value, ",") {
		switch s = strings.ToLower(strings.TrimSpace(s)); s {
		case delivered, failed:
			wanted[s] = true
		default:
			return fmt.Sprintf("%s is not a status of a delivery: use delivered or failed.", quote(s))
		}
	}
	switch {
	case len(wanted) == 2: // every record has one of them
		q.filter.Status = ""
	case wanted[delivered]:
		q.filter.Status = delivered
	default:
		q.filter.Status = failed
	}
	return ""
}

func setNumber(q *query, value string) string {
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) && n > 0:
		return fmt.Sprintf("%s is too large for a page number. There is no page after %d.", quote(value), n)
	case err != nil || n < 1:
		return fmt.Sprintf("%s is not a page number. Pages are counted from 1.", quote(value))
	}
	q.number = n
	return ""
}

func setSize(q *query, value string) string {
	n, err := strconv.Atoi(strings.TrimSpace(value))
	if err != nil || n < 1 || n > maxSize {
		return fmt.Sprintf("%s is not a page size. A page has between 1 and %d records.", quote(value), maxSize)
	}
	q.size = n
	return ""
}

// from and to return the setters of the lower and the upper bound of a time.
// Both are inclusive, and are compared with what a record shows: a record
// shown as ending at 05.595 is not after 05.595, though its clock had
// microseconds, and one that ends at noon is not after that day.
func from(field func(*query) *time.Time) func(*query, string) string {
	return func(q *query, value string) string {
		first, _, problem := parseTime(value)
		*field(q) = first
		return problem
	}
}

func to(field func(*query) *time.Time) func(*query, string) string {
	return func(q *query, value string) string {
		_, last, problem := parseTime(value)
		*field(q) = last
		return problem
	}
}

// timeLayouts are the forms of ISO 8601 that people and clients write. Times
// without an offset are UTC, as all times in records are.
var timeLayouts = []string{
	"2006-01-02T15:04:05Z07:00",
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04",
}

// The bounds of times that a store can be asked for. A time outside compares the
// same with every possible record.
var (
	minTime = time.Unix(0, 0).UTC()
	maxTime = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// parseTime returns the first and the last instant that value may mean: a
// date is a whole day, and anything finer the millisecond it lies in.
func parseTime(value string) (first, last time.Time, problem string) {
	s := strings.ToUpper(strings.TrimSpace(value))
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return clamp(day), clamp(day.AddDate(0, 0, 1).Add(-1)), ""
	}
	// A space replaces the T, or comes from the + of an offset that was not
	// escaped.
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + s[11:]
	}
	s = strings.Replace(s, " ", "+", 1)
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return clamp(t), clamp(t.Truncate(time.Millisecond).Add(time.Millisecond - 1)), ""
		}
	}
	return first, last, fmt.Sprintf("%s is not an ISO 8601 time. Write 2024-01-31T09:30:00Z, or 2024-01-31 for the whole day.", quote(value))
}

func clamp(t time.Time) time.Time {
	switch {
	case t.Before(minTime):
		return minTime
	case t.After(maxTime):
		return maxTime
	}
	return t.UTC()
}
