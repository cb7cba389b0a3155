package sdk

import (
	"context"

	"github.com/hookswitch/hookswitch/plugins/sdk/internal/service"
)

// Delivery describes the delivery of an event, beyond the event itself. All of
// it comes from the sidecar, none from Telnyx.
type Delivery struct {
	// ID is the id of the webhook_delivery record.
	ID string

	// Replay is set when somebody asked for the event to be delivered again:
	// it may be old, and may have been handled before.
	Replay bool

	// Round counts the replays: 0 is the delivery itself. All attempts of one
	// replay have the same round.
	Round int

	// Crashes counts the attempts just before this one in which the plugin
	// died with the event. Above 0, the event may be the cause.
	Crashes int

	// Traceparent and Tracestate are the W3C Trace Context of the delivery, to
	// pass on in the HTTP headers of these names. They are empty if the sidecar
	// does not trace.
	Traceparent string
	Tracestate  string
}

// DeliveryOf returns the delivery that the context of a handler belongs to.
// Outside of a plugin, where there is no sidecar, it returns the zero Delivery
// and false.
func DeliveryOf(ctx context.Context) (Delivery, bool) {
	d, ok := service.DeliveryOf(ctx)
	return Delivery(d), ok
}
