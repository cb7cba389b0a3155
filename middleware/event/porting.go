package event

import (
	"bytes"
)

// Events of numbers that move to Telnyx, or away. Those of porting orders may
// arrive as stored records, with their URLs beside the payload.
var (
	PortingOrderStatusChanged    = Define[PortingOrder]("porting_order.status_changed")
	PortingOrderMessagingChanged = Define[PortingOrder]("porting_order.messaging_changed")
	PortingOrderDeleted          = Define[PortingOrder]("porting_order.deleted")
	PortingOrderNewComment       = Define[PortingOrderNewCommentPayload]("porting_order.new_comment")
	PortingOrderSplit            = Define[PortingOrderSplitPayload]("porting_order.split")

	// Listed by GET /v2/porting/events; whether they are sent is unverified.
	PortingOrderLOAUpdated          = Define[PortingOrder]("porting_order.loa_updated")
	PortingOrderSharingTokenExpired = Define[PortingOrder]("porting_order.sharing_token_expired")

	PortoutStatusChanged  = Define[PortoutStatusChangedPayload]("portout.status_changed")
	PortoutFOCDateChanged = Define[PortoutFOCDateChangedPayload]("portout.foc_date_changed")
	PortoutNewComment     = Define[PortoutNewCommentPayload]("portout.new_comment")

	CustomerServiceRecordStatusChanged = Define[CustomerServiceRecordStatusChangedPayload]("customer_service_record.status_changed")
)

// PortingOrder is the payload of most events of numbers that move to Telnyx.
type PortingOrder struct {
	ID                string            `json:"id"`
	CustomerReference Text              `json:"customer_reference"` // yours
	SupportKey        string            `json:"support_key"`        // such as sr_12ab34, to name it in tickets
	Status            PortingStatus     `json:"status"`             // of a status change
	WebhookURL        string            `json:"webhook_url"`        // of a status change
	UpdatedAt         Time              `json:"updated_at"`         // of a status change
	Messaging         *PortingMessaging `json:"messaging"`          // of a messaging change
	DeletedAt         Time              `json:"deleted_at"`         // of a deletion
}

// PortingStatus is how far a porting order has come.
type PortingStatus struct {
	Value   string                    `json:"value"`   // draft, in-process, submitted, exception, foc-date-confirmed, ported, cancel-pending, cancelled, …
	Details List[PortingStatusDetail] `json:"details"` // of an exception
}

// PortingStatusDetail explains what is wrong with a porting order.
type PortingStatusDetail struct {
	Code        string `json:"code"`        // such as LOA_ILLEGIBLE
	Description string `json:"description"` // a sentence
}

// UnmarshalJSON accepts an object, the status as text, or null. It never
// fails.
func (s *PortingStatus) UnmarshalJSON(b []byte) error {
	*s = PortingStatus{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		s.Value = scalar(b)
		return nil
	}
	type plain PortingStatus
	gently(b, (*plain)(s))
	return nil
}

// PortingMessaging tells whether messages move with a number.
type PortingMessaging struct {
	MessagingCapable    bool   `json:"messaging_capable"`
	EnableMessaging     bool   `json:"enable_messaging"`      // you asked for it
	MessagingPortStatus string `json:"messaging_port_status"` // not_applicable, pending, activating, exception, canceled, partial_port_complete or ported
}

// PortingOrderNewCommentPayload is the payload of [PortingOrderNewComment].
type PortingOrderNewCommentPayload struct {
	PortingOrderID string `json:"porting_order_id"`
	SupportKey     string `json:"support_key"`
	Comment        struct {
		ID         string `json:"id"`
		Body       string `json:"body"`
		UserID     string `json:"user_id"`   // empty for Telnyx's staff
		UserType   string `json:"user_type"` // admin or user
		InsertedAt Time   `json:"inserted_at"`
	} `json:"comment"`
}

// PortingOrderSplitPayload is the payload of [PortingOrderSplit].
type PortingOrderSplitPayload struct {
	From struct {
		ID string `json:"id"` // the order that was split
	} `json:"from"`
	To struct {
		ID string `json:"id"` // the new one
	} `json:"to"`
}

// PortoutStatusChangedPayload is the payload of [PortoutStatusChanged].
type PortoutStatusChangedPayload struct {
	ID              string       `json:"id"`
	UserID          string       `json:"user_id"`
	Status          string       `json:"status"` // pending, authorized, ported, rejected, rejected-pending or canceled
	RejectionReason string       `json:"rejection_reason"`
	PhoneNumbers    List[string] `json:"phone_numbers"` // +E.164
	CarrierName     string       `json:"carrier_name"`  // who gets them
	SPID            string       `json:"spid"`          // its service provider id
	SubscriberName  string       `json:"subscriber_name"`
}

// PortoutFOCDateChangedPayload is the payload of [PortoutFOCDateChanged].
type PortoutFOCDateChangedPayload struct {
	ID      string `json:"id"`
	UserID  string `json:"user_id"`
	FOCDate Time   `json:"foc_date"` // firm order commitment: when the numbers leave
}

// PortoutNewCommentPayload is the payload of [PortoutNewComment].
type PortoutNewCommentPayload struct {
	ID        string `json:"id"` // of the comment
	PortoutID string `json:"portout_id"`
	UserID    string `json:"user_id"`
	Comment   string `json:"comment"`
}

// CustomerServiceRecordStatusChangedPayload is the payload of
// [CustomerServiceRecordStatusChanged]. No body of it has been published; the
// fields are those of the resource.
type CustomerServiceRecordStatusChangedPayload struct {
	ID           string `json:"id"`
	RecordType   string `json:"record_type"`  // "customer_service_record"
	PhoneNumber  string `json:"phone_number"` // +E.164
	Status       string `json:"status"`       // pending, completed or failed
	ErrorMessage string `json:"error_message"`
	UpdatedAt    Time   `json:"updated_at"`
}
