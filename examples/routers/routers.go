// Package routers has what the examples for chi, echo and gin share: handlers
// that know nothing of the router. The examples are in a module of their own,
// so that hookswitch does not depend on the routers.
package routers

import (
	"context"
	"log"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// Handlers returns the handlers for events.
func Handlers() *webhook.Mux {
	mux := new(webhook.Mux)
	webhook.On(mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		log.Printf("message %s: %d characters", m.ID, len(m.Text))
		return nil
	})
	return mux
}
