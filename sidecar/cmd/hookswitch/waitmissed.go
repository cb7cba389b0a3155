package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/sidecar/internal/adminapi"
	"github.com/hookswitch/hookswitch/sidecar/internal/delivery"
)

// missed is what came instead of the event that was waited for.
type missed struct {
	count      int    // of the right type, and with other values
	fulfilled  int    // conditions of the nearest
	nearest    string // what it has instead
	duplicates int    // of events that were stored before
	rejected   map[string]bool
}

// add reports whether an event fulfils all conditions, and remembers it otherwise.
func (m *missed) add(e *arrival, conditions []match, body *webhook.Event) bool {
	fulfilled, instead := 0, ""
	for _, condition := range conditions {
		if other := condition.differs(body); other == "" {
			fulfilled++
		} else if instead == "" {
			instead = other
		}
	}
	if instead == "" {
		return true
	}
	if m.count++; m.nearest == "" || fulfilled >= m.fulfilled {
		m.fulfilled, m.nearest = fulfilled, fmt.Sprintf("%s %s has %s", typeName(e.kind), e.id(), instead)
	}
	return false
}

// wanted describes the event that is waited for.
func (w *waiter) wanted() string {
	text := oneLine(strings.Join(w.types, " or "))
	if slices.Contains(w.types, "*") {
		text = "event"
	}
	for i, m := range w.matches {
		text += []string{" with ", " and "}[min(i, 1)] + oneLine(m.String())
	}
	return text
}

// noteRejected notes the requests that were rejected before.
func (w *waiter) noteRejected(ctx context.Context) error {
	list, err := w.rejections(ctx)
	w.missed.rejected = make(map[string]bool, len(list))
	for _, r := range list {
		w.missed.rejected[r.ID] = true
	}
	return err
}

func (w *waiter) rejections(ctx context.Context) ([]adminapi.Rejected, error) {
	var list struct{ Data []adminapi.Rejected }
	err := w.get(ctx, "/rejected", nil, &list)
	return list.Data, err
}

// last looks once more after the timeout. It returns the event, or the error that
// it did not come.
func (w *waiter) last(parent context.Context) (*arrival, error) {
	ctx, cancel := context.WithTimeout(parent, lastLook)
	defer cancel()
	err := w.trouble
	if !w.looked.IsZero() {
		err = w.lookAgain(ctx)
	} else if err == nil {
		err = errors.New("its first answer took longer")
	}
	var hit *arrival
	if err == nil {
		hit, err = w.work(ctx)
	}
	text := fmt.Sprintf("no %s came in %s", w.wanted(), w.timeout)
	switch {
	case hit != nil:
		return hit, nil
	case err != nil && len(w.todo) > 0 && w.trouble == nil:
		return nil, fmt.Errorf("%s, but there are %d events that were not looked at in time: give a longer --timeout, or a later --since", text, len(w.todo))
	case err != nil && !retryable(err):
		return nil, err
	case err != nil:
		if !w.down.IsZero() {
			text += fmt.Sprintf(", as far as is known: the sidecar has not answered for %s", roundDuration(time.Since(w.down)))
		}
		return nil, &exitError{exitUnreachable, fmt.Errorf("%s: %w", text, err)}
	}
	if w.since != "" {
		text += ", nor before, since " + oneLine(w.since)
	}
	return nil, errors.New(text + w.instead(ctx))
}

// instead says what came instead, a line each.
func (w *waiter) instead(ctx context.Context) (text string) {
	if n := w.missed.count; n > 0 {
		text += fmt.Sprintf("\n  %d of that type came with other values; the nearest: %s", n, w.missed.nearest)
	}
	if n := w.missed.duplicates; n > 0 {
		text += fmt.Sprintf("\n  %d of that type came that had been stored before: a duplicate is not a new event; --since takes in earlier ones", n)
	}
	if others := w.others(ctx); others != "" {
		text += "\n  events of other types came: " + others
	}
	list, err := w.rejections(ctx)
	list = slices.DeleteFunc(list, func(r adminapi.Rejected) bool { return w.missed.rejected[r.ID] })
	if err == nil && len(list) > 0 {
		text += fmt.Sprintf("\n  %d requests were rejected meanwhile, the latest because of %s: \"hookswitch verify --event %s\" explains it", len(list), list[0].Reason, list[0].ID)
	}
	if text == "" {
		text = "\n  nothing else came either: \"hookswitch status\" shows where this sidecar receives"
	}
	return text
}

// others counts the events of other types, by type.
func (w *waiter) others(ctx context.Context) string {
	since := calendar(w.since, time.Now())
	switch {
	case since == "":
		since = passed(w.started).String()
	case !w.from.IsZero():
		since = w.from.Format(time.RFC3339Nano)
	}
	var p adminapi.Preview
	filter := adminapi.Filter{Since: since, All: true}
	err := w.ask(ctx, func(api *client) error {
		return api.call(ctx, http.MethodPost, "/replays", nil, adminapi.ReplayRequest{Filter: filter, DryRun: true}, &p)
	})
	if err != nil { // this is only a hint
		return ""
	}
	var list []typeCount
	for name, n := range p.Types {
		if !delivery.Wanted(w.types, name) {
			list = append(list, typeCount{name, n})
		}
	}
	slices.SortFunc(list, func(a, b typeCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.Type, b.Type)) })
	var words []string
	for _, t := range list[:min(len(list), 5)] {
		words = append(words, fmt.Sprintf("%s %d", typeName(t.Type), t.Count))
	}
	if more := len(list) - len(words); more > 0 {
		words = append(words, fmt.Sprintf("and %d other types", more))
	}
	return strings.Join(words, ", ")
}
