// Package event is the vocabulary of Telnyx webhooks: the names of the events
// and the Go types of their payloads.
//
// Start with a name, such as [MessageReceived] or [CallInitiated]. A name
// carries the type of its payload, so that a handler registered for it is
// checked by the compiler:
//
//	webhook.On(&mux, event.MessageReceived,
//		func(ctx context.Context, e *webhook.Event, m *event.Message) error { … })
//
// Payload types decode gently. Telnyx sends the same field in several JSON
// types (an amount as "0.0051" or 0.0051, a sender as a string or an object);
// [Decimal], [Time], [Endpoint], [List] and [ClientState] accept every form that has
// been seen and keep what they were given. Unknown fields are ignored; the
// bytes that were signed stay available on the event.
//
// The package imports the standard library only.
package event

import (
	"fmt"
	"slices"
	"sync"
)

// Name is an event type, such as "message.sent", together with the Go type P
// of its payload. The zero value names nothing; make one with [Define].
type Name[P any] struct {
	name string
}

// String returns the event type as Telnyx spells it in event_type.
func (n Name[P]) String() string { return n.name }

// registry holds every name that has been defined, so that a second definition
// of the same event type (perhaps with another payload) stops the program at
// start instead of decoding into the wrong type at run time.
var registry struct {
	sync.Mutex
	names []string
}

// Define makes the name of an event type whose payload decodes into P. Use it
// for an event type that this package does not know yet:
//
//	var FaxArchived = event.Define[FaxArchivedPayload]("fax.archived")
//
// It panics when the name is empty or was defined before. Call it from a
// package-level variable; it is safe for concurrent use.
func Define[P any](name string) Name[P] {
	if name == "" {
		panic("event: Define with an empty name")
	}
	registry.Lock()
	defer registry.Unlock()
	at, found := slices.BinarySearch(registry.names, name)
	if found {
		panic(fmt.Sprintf("event: %q is defined twice", name))
	}
	registry.names = slices.Insert(registry.names, at, name)
	return Name[P]{name: name}
}

// Names returns every defined event type in alphabetical order.
func Names() []string {
	registry.Lock()
	defer registry.Unlock()
	return slices.Clone(registry.names)
}
