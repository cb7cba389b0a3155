package delivery

import "time"

// Event is one verified inbound request, as received.
type Event struct {
	Seq        int64  // assigned by Accept; grows with every accepted event
	DeliveryID string // id of its webhook_delivery record: a UUID, assigned by Accept if empty
	Key        string // identifies duplicates; see webhook.Event.Key
	ID         string // event id as sent, may be empty
	Type       string // event type as sent, may be empty
	OccurredAt string // occurred_at as sent, may be empty or no date at all
	ReceivedAt time.Time

	Method     string
	Path       string      // request URI path it arrived at
	RemoteAddr string      // of the sender: host:port as the listener saw it, or the host that a trusted proxy names
	Header     [][2]string // as received, in no particular order between names
	Body       []byte      // exactly the bytes that were signed

	// PayloadOff and PayloadLen locate the payload in Body. A negative length
	// means that the body has no JSON payload.
	PayloadOff, PayloadLen int

	KeyLabel string    // label of the key that verified it
	SignedAt time.Time // the signer's timestamp

	// Entity is the subject of the event, such as "message:ID", when events
	// of one entity are delivered in order. Empty: in no order.
	Entity string
	// OrderAt is the time that orders the events of an entity: when it
	// happened. Zero: ReceivedAt.
	OrderAt time.Time

	// Traceparent is the place of this event's arrival in a trace of the
	// sidecar's own: a W3C traceparent. Empty: it was not traced.
	Traceparent string

	Duplicates int // further deliveries of the same event, answered 200 and not dispatched
}
