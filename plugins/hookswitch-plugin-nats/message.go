package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/plugins/sdk"
)

const placeholder = "{event_type}"

var anyPlaceholder = regexp.MustCompile(`\{[^}]*\}?`)

// checkSubject reports what is wrong with a template of subjects.
func checkSubject(template string) error {
	for _, found := range anyPlaceholder.FindAllString(template, -1) {
		if found != placeholder {
			return fmt.Errorf("has %s: only %s is known", found, placeholder)
		}
	}
	if subject := subjectOf(template, "x"); subject == "" || strings.ContainsAny(subject, " \t\r\n*>") ||
		strings.HasPrefix(subject, ".") || strings.HasSuffix(subject, ".") || strings.Contains(subject, "..") {
		return errors.New("must be names separated by dots, without spaces, * and >")
	}
	return nil
}

// subjectOf returns the subject of an event type. Nothing is known of the type
// except that somebody signed it.
func subjectOf(template, eventType string) string {
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r == '*' || r == '>' || r == 0x7f {
			return '_'
		}
		return r
	}, strings.ToValidUTF8(eventType, "_"))
	tokens := strings.Split(clean, ".")
	for i, token := range tokens {
		if token == "" {
			tokens[i] = "_"
		}
	}
	return strings.ReplaceAll(template, placeholder, strings.Join(tokens, "."))
}

// subjectsOf returns the subjects of all events, for a stream.
func subjectsOf(template string) string {
	before, _, found := strings.Cut(template, placeholder)
	if !found {
		return template
	}
	tokens := strings.Split(before, ".") // the last is the beginning of what varies
	return strings.Join(append(tokens[:len(tokens)-1], ">"), ".")
}

// messageOf returns the message of an event.
func messageOf(ctx context.Context, template string, e *webhook.Event) *nats.Msg {
	delivery, _ := sdk.DeliveryOf(ctx)
	id := e.Key()
	if delivery.Replay {
		// A sidecar that does not count the rounds says 0.
		if id += ":replay"; delivery.Round > 1 {
			id += ":" + strconv.Itoa(delivery.Round)
		}
	}
	msg := nats.NewMsg(subjectOf(template, e.Type))
	msg.Data = e.Raw
	set := func(name, value string) {
		if value != "" {
			msg.Header.Set(name, oneLine(value))
		}
	}
	set(nats.MsgIdHdr, id)
	set("Content-Type", e.Header.Get("Content-Type"))
	set("Hookswitch-Event-Type", e.Type)
	set("Hookswitch-Event-Id", e.ID)
	set("Hookswitch-Occurred-At", e.OccurredAt.String())
	set("Hookswitch-Delivery-Id", delivery.ID)
	set("Hookswitch-Attempt", strconv.Itoa(e.Attempt))
	set("Hookswitch-Replay", strconv.FormatBool(delivery.Replay))
	if t := e.Signature.Timestamp; !t.IsZero() {
		set("Hookswitch-Signed-At", t.UTC().Format(time.RFC3339))
	}
	set("Telnyx-Signature-Ed25519", e.Header.Get("Telnyx-Signature-Ed25519"))
	set("Telnyx-Timestamp", e.Header.Get("Telnyx-Timestamp"))
	set("traceparent", delivery.Traceparent)
	set("tracestate", delivery.Tracestate)
	return msg
}

// oneLine keeps a value from being more than one header.
func oneLine(value string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, value))
}
