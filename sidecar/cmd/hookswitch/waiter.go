package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/live"
)

const (
	// lag is more than an event takes from its receipt, by which lists are limited,
	// until it is stored.
	lag = 15 * time.Second

	// lookEvery is the time between two lists. The stream tells of events sooner,
	// but not of those that other sidecars on the same database store.
	lookEvery = time.Second

	// lastLook bounds the list after the timeout.
	lastLook = 5 * time.Second
)

// waiter looks for an event, and learns of events in two ways: the live stream is
// quick, and lists are complete. A list that is begun when the stream is connected
// has what was stored before, and the stream has what is stored from then on. After
// each gap in the stream there is another list.
type waiter struct {
	connect func() (*client, error) // safe for concurrent use
	types   []string
	matches []match
	since   string // as given; empty: from the start
	timeout time.Duration
	whole   bool // the event is printed whole
	notes   io.Writer

	api     *client // nil: to be connected
	started time.Time
	from    time.Time // what was received before does not count
	looked  time.Time // when the latest whole list was begun
	seen    map[string]sighting
	todo    []arrival // to be looked at, in the order in which they came
	trouble error     // the sidecar does not answer
	down    time.Time // since then
	missed  missed
}

// sighting is when an event was learned of, and whether it counts.
type sighting struct {
	at     time.Time
	counts bool
}

// arrival is an event of the right type.
type arrival struct {
	delivery, event, kind string
	received              time.Time
	whole                 []byte // as "events get" prints it, if that is needed
}

// wait returns the event, or nil when ctx ends.
func (w *waiter) wait(ctx context.Context) (*arrival, error) {
	if err := w.begin(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	fmt.Fprintf(w.notes, "hookswitch: waiting for %s on %s; Ctrl-C ends it\n", w.wanted(), w.api.name)
	ctx, cancel := context.WithCancel(ctx)
	messages, ended := make(chan live.Message, 256), make(chan struct{})
	go func() { defer close(ended); w.follow(ctx, messages) }()
	defer func() { cancel(); <-ended }()
	next := time.NewTimer(lookEvery)
	for {
		if hit, err := w.work(ctx); hit != nil || err != nil && !w.goesOn(ctx, err) {
			return hit, err
		}
		select {
		case <-ctx.Done():
			return nil, nil
		case m := <-messages:
			if w.hear(m) {
				next.Reset(0)
			}
		case <-next.C:
			began := time.Now()
			if err := w.lookAgain(ctx); err != nil && !w.goesOn(ctx, err) {
				return nil, err
			}
			next.Reset(max(lookEvery, 10*time.Since(began))) // long lists are not asked for all the time
		}
	}
}

// goesOn reports whether waiting goes on after an error.
func (w *waiter) goesOn(ctx context.Context, err error) bool {
	return ctx.Err() != nil || retryable(err)
}

// begin decides from where on events count. It is the first to ask the sidecar: if
// there is none, waiting would not help.
func (w *waiter) begin(ctx context.Context) error {
	w.started = time.Now()
	if err := w.noteRejected(ctx); err != nil {
		return err
	}
	if w.since == "" { // what is listed now was there before
		return w.look(ctx, lag.String, false)
	}
	since := calendar(w.since, time.Now())
	if at, err := time.Parse(time.RFC3339, since); err == nil {
		w.from = at
	} else if (adminapi.Filter{Since: since}).Check() != nil {
		if since, err = w.after(ctx); err != nil {
			return err
		}
	}
	return w.look(ctx, func() string { return since }, true)
}

// after reads --since as the id of an event, and returns when that was received.
func (w *waiter) after(ctx context.Context) (string, error) {
	var e adminapi.Event
	err := w.ask(ctx, func(api *client) error {
		id, err := wholeID(ctx, api, w.since)
		if err != nil {
			return err
		}
		return api.get(ctx, "/events/"+url.PathEscape(id), nil, &e)
	})
	switch {
	case isNothing(err) && strings.Trim(strings.ToLower(w.since), "0123456789abcdef-") != "":
		return "", usageError("--since: nothing here has the id %q, and it is not a time: write that like 2h, 1d, yesterday or 2026-11-24T14:00:00Z", w.since)
	case err != nil:
		return "", err
	case e.ReceivedAt == nil:
		return "", fmt.Errorf("--since: the sidecar does not say when %s was received", w.since)
	}
	w.from = *e.ReceivedAt
	w.seen[e.DeliveryID] = sighting{at: time.Now()}
	return w.from.Format(time.RFC3339Nano), nil
}

// isNothing reports whether the sidecar has no such event.
func isNothing(err error) bool {
	ee, ok := errors.AsType[*exitError](err)
	return ok && ee.code == exitNothing
}

// follow passes on the live stream until ctx ends, and [live.Lost] whenever it begins.
// That it does not connect is for the lists to say.
func (w *waiter) follow(ctx context.Context, messages chan<- live.Message) {
	pass := func(m live.Message) error {
		select {
		case messages <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for ctx.Err() == nil {
		stream := tail{connect: w.connect, query: url.Values{"type": w.types}, show: pass}
		_ = stream.follow(ctx, func(string) { _ = pass(live.Message{Kind: live.Lost}) })
		select {
		case <-ctx.Done():
		case <-time.After(retryTail):
		}
	}
}

// hear takes in a message, and reports whether a list is needed.
func (w *waiter) hear(m live.Message) bool {
	switch m.Kind {
	case live.Accepted:
		w.add(arrival{delivery: m.DeliveryID, event: m.ID, kind: m.Type, received: m.At}, true)
	case live.Duplicate:
		if !w.seen[m.DeliveryID].counts {
			w.missed.duplicates++
		}
	}
	return m.Kind == live.Lost
}

// add remembers an event, once.
func (w *waiter) add(e arrival, counts bool) {
	if _, known := w.seen[e.delivery]; known || e.received.Before(w.from) {
		return
	}
	w.seen[e.delivery] = sighting{at: time.Now(), counts: counts}
	if counts {
		w.todo = append(w.todo, e)
	}
}

// look reads the list of events since a time, which may be told anew for each page.
func (w *waiter) look(ctx context.Context, since func() string, counts bool) error {
	began, query := time.Now(), url.Values{"type": w.types, "limit": {"200"}}
	var list []arrival
	for more := true; more; {
		query.Set("since", since())
		var page adminapi.EventPage
		if err := w.get(ctx, "/events", query, &page); err != nil {
			return err
		}
		for _, e := range page.Data {
			if _, known := w.seen[e.DeliveryID]; !known && e.ReceivedAt != nil {
				list = append(list, arrival{delivery: e.DeliveryID, event: e.ID, kind: e.Type, received: *e.ReceivedAt})
			}
		}
		query.Set("cursor", page.NextCursor)
		more = page.NextCursor != ""
	}
	for _, e := range slices.Backward(list) {
		w.add(e, counts)
	}
	w.looked = began
	// No later list has these.
	maps.DeleteFunc(w.seen, func(_ string, s sighting) bool { return s.at.Before(began.Add(-2 * lag)) })
	return nil
}

// lookAgain looks for what the latest list could not have.
func (w *waiter) lookAgain(ctx context.Context) error {
	looked := w.looked
	return w.look(ctx, func() string { return (passed(looked) + lag).String() }, true)
}

// passed returns how long ago t was, with the time that the machine was suspended.
// The sidecar is told durations because its clock may be a different one.
func passed(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

// work looks at the events there are, until one is what is waited for.
func (w *waiter) work(ctx context.Context) (*arrival, error) {
	for len(w.todo) > 0 {
		e := &w.todo[0]
		hit, err := w.check(ctx, e)
		if err != nil && !isNothing(err) { // it may have been removed meanwhile
			return nil, err
		}
		w.todo = w.todo[1:]
		if hit {
			return e, nil
		}
	}
	return nil, nil
}

// check reports whether an event is what is waited for.
func (w *waiter) check(ctx context.Context, e *arrival) (bool, error) {
	path := "/events/" + url.PathEscape(e.delivery)
	if len(w.matches) > 0 {
		body, contentType, err := w.read(ctx, path+"/payload")
		if err != nil {
			return false, err
		}
		if !w.missed.add(e, w.matches, webhook.Decode(contentType, body)) {
			return false, nil
		}
	}
	if !w.whole {
		return true, nil
	}
	var err error
	e.whole, _, err = w.read(ctx, path)
	return err == nil, err
}

// read returns an answer of the sidecar as it is.
func (w *waiter) read(ctx context.Context, path string) (body []byte, contentType string, err error) {
	err = w.ask(ctx, func(api *client) error {
		res, err := api.do(ctx, http.MethodGet, path, nil, nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		contentType = res.Header.Get("Content-Type")
		if body, err = io.ReadAll(res.Body); err != nil {
			return fmt.Errorf("the sidecar's answer broke off: %w", err)
		}
		return nil
	})
	return body, contentType, err
}

func (w *waiter) get(ctx context.Context, path string, query url.Values, v any) error {
	return w.ask(ctx, func(api *client) error { return api.get(ctx, path, query, v) })
}

// ask asks the sidecar, and keeps in mind whether it answers. One that has restarted
// may have another address.
func (w *waiter) ask(ctx context.Context, question func(*client) error) (err error) {
	if w.api == nil {
		w.api, err = w.connect()
	}
	if err == nil {
		err = question(w.api)
	}
	switch lost := err != nil && retryable(err); {
	case lost && ctx.Err() == nil:
		if w.trouble == nil && !w.looked.IsZero() {
			w.down = time.Now()
			fmt.Fprintf(w.notes, "hookswitch: %v; waiting goes on\n", err)
		}
		w.api, w.trouble = nil, err
	case !lost && w.trouble != nil:
		fmt.Fprintf(w.notes, "hookswitch: the sidecar answers again\n")
		w.trouble = nil
	}
	return err
}
