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
// There is a file for each product. Where several events share a payload it has
// a noun for a name ([Message], [Fax], [TeXMLCall]); any other payload is named
// after its event. [Canonical] turns the names of API v1 into these, and
// [Misnomer] knows names that are documented but never sent.
//
// Payload types decode gently. Telnyx sends the same field in several JSON
// types (an amount as "0.0051" or 0.0051, a sender as a string or an object);
// [Decimal], [Int], [Bool], [Text], [Time], [Endpoint], [List], [Value] and
// [ClientState] accept every form that has been seen. A field of a type that
// nobody expected is left empty and costs no other field; [Decode], which
// package webhook uses, says which fields those were. Unknown fields are
// ignored.
//
// The package imports the standard library only.
package event

import (
	"fmt"
	"reflect"
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
	names    []string                // in alphabetical order
	payloads map[string]reflect.Type // by name: the type of the payload
	v1       map[string]string       // by name in API v1: the name
}

// Define makes the name of an event type whose payload decodes into P. Use it
// for an event type that this package does not know yet:
//
//	var FaxArchived = event.Define[FaxArchivedPayload]("fax.archived")
//
// It panics when the name is empty or was defined before. Call it from a
// package-level variable; it is safe for concurrent use.
func Define[P any](name string) Name[P] {
	define(name, reflect.TypeFor[P]())
	return Name[P]{name: name}
}

// define is apart from [Define], which is compiled for every payload type.
func define(name string, payload reflect.Type) {
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
	if registry.payloads == nil {
		registry.payloads, registry.v1 = make(map[string]reflect.Type), make(map[string]string)
	}
	registry.payloads[name] = payload
	if v1 := v1Name(name); v1 != "" {
		registry.v1[v1] = name
	}
}

// NewPayload returns a pointer to a zero payload of the event type, ready for
// [encoding/json.Unmarshal], for tools that handle events of every type. It returns nil
// if the type is not defined. For one type that is known, decode into the Go
// type itself.
func NewPayload(eventType string) any {
	registry.Lock()
	defer registry.Unlock()
	if payload := registry.payloads[eventType]; payload != nil {
		return reflect.New(payload).Interface()
	}
	return nil
}

// Names returns every defined event type in alphabetical order.
func Names() []string {
	registry.Lock()
	defer registry.Unlock()
	return slices.Clone(registry.names)
}
