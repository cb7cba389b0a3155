package event

import (
	"bytes"
	"encoding/json"
	"reflect"
)

// Messaging events (Telnyx API v2, webhooks "deliveryUpdate",
// "inboundMessage", "whatsappMessageEcho" and "replacedLinkClick").
var (
	MessageSent      = Define[Message]("message.sent")      // handed to the carrier
	MessageFinalized = Define[Message]("message.finalized") // final status known: delivered, delivery_failed, …
	MessageReceived  = Define[Message]("message.received")  // somebody sent you a message
	MessageRead      = Define[Message]("message.read")      // the recipient has read it; RCS and WhatsApp only
	MessageEcho      = Define[Message]("message.echo")      // you sent it with the WhatsApp Business app, not by API

	// Somebody opened a link that Telnyx had shortened. Such a webhook names
	// no event type; this one is the record_type of what it carries.
	LinkClicked = Define[LinkClickedPayload]("link_clicked")

	// A messaging profile has spent its daily limit. The hyphens are Telnyx's.
	SpendLimitReached = Define[SpendLimitReachedPayload]("messaging-profile.spend-limit-reached")
)

// Message is the payload of the messaging events. Fields that Telnyx sent as
// null, or not at all, have their zero value.
type Message struct {
	ID                 string `json:"id"`                   // of the message, the same in all its events
	RecordType         string `json:"record_type"`          // "message"
	Direction          string `json:"direction"`            // "outbound" or "inbound"
	Type               string `json:"type"`                 // SMS, MMS, RCS or WHATSAPP
	MessagingProfileID string `json:"messaging_profile_id"` // profile it belongs to
	OrganizationID     string `json:"organization_id"`      // owner of the profile
	GroupMessageID     string `json:"group_message_id"`     // the same in all messages to one group
	Origin             string `json:"origin"`               // of an echo: whatsapp_business_app

	From Endpoint       `json:"from"` // sender
	To   List[Endpoint] `json:"to"`   // recipients, each with a status of its own
	CC   List[Endpoint] `json:"cc"`   // further recipients of a group message

	Text    string       `json:"text"`    // of SMS and MMS
	Subject string       `json:"subject"` // of MMS
	Body    *MessageBody `json:"body"`    // of RCS and WhatsApp; nil for others
	Media   List[Media]  `json:"media"`   // attachments; Telnyx keeps them for 30 days

	TemplateID   string `json:"template_id"`   // WhatsApp template it was made from
	TemplateName string `json:"template_name"` // and its name

	WebhookURL         string `json:"webhook_url"`          // where Telnyx sends the events of this message
	WebhookFailoverURL string `json:"webhook_failover_url"` // and where if that fails

	Encoding             string       `json:"encoding"`               // GSM-7 or UCS-2
	SmartEncodingApplied bool         `json:"smart_encoding_applied"` // characters were replaced to fit GSM-7
	Parts                int          `json:"parts"`                  // SMS parts the text was cut into, 1 to 10
	NumChars             int          `json:"num_chars"`              // characters in the text
	WaitSeconds          Decimal      `json:"wait_seconds"`           // time spent queued by rate limits
	Tags                 List[string] `json:"tags"`                   // yours
	IsSpam               bool         `json:"is_spam"`                // Telnyx takes this inbound message for spam

	Cost          *Money         `json:"cost"`           // nil until known
	CostBreakdown *CostBreakdown `json:"cost_breakdown"` // nil until known

	TCRCampaignID         string `json:"tcr_campaign_id"`         // 10DLC campaign
	TCRCampaignBillable   bool   `json:"tcr_campaign_billable"`   // carrier fees of the campaign apply
	TCRCampaignRegistered string `json:"tcr_campaign_registered"` // REGISTERED, UNREGISTERED, …

	AutoresponseType string `json:"autoresponse_type"` // keyword that Telnyx answered by itself: OPT_OUT, HELP, …

	ReceivedAt  Time `json:"received_at"`  // Telnyx received it
	SentAt      Time `json:"sent_at"`      // handed to the carrier
	CompletedAt Time `json:"completed_at"` // final status
	ValidUntil  Time `json:"valid_until"`  // not sent after this

	Errors List[Problem] `json:"errors"` // why it was not delivered
}

// Media is one attachment of a message.
type Media struct {
	URL         string  `json:"url"`          // needs no authorization
	ContentType string  `json:"content_type"` // MIME type
	SHA256      string  `json:"sha256"`       // in hex
	HashSHA256  string  `json:"hash_sha256"`  // the same in some inbound messages
	Size        Decimal `json:"size"`         // bytes
}

// UnmarshalJSON accepts an object; anything else leaves the zero value. It
// never fails.
func (m *Media) UnmarshalJSON(b []byte) error {
	*m = Media{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		noObject(b)
		return nil
	}
	var r reader
	if r.begin(b) && m.take(&r) {
		return nil
	}
	*m = Media{}
	type plain Media
	gently(b, (*plain)(m))
	return nil
}

func (m *Media) take(r *reader) bool {
	*m = Media{}
	ok := r.peek() == '{'
	for name, more := r.member(); more && ok; name, more = r.member() {
		switch string(name) {
		case "url":
			ok = r.textInto(&m.URL)
		case "content_type":
			ok = r.textInto(&m.ContentType)
		case "sha256":
			ok = r.textInto(&m.SHA256)
		case "hash_sha256":
			ok = r.textInto(&m.HashSHA256)
		case "size":
			ok = m.Size.take(r)
		default:
			ok = r.unknown(planOf(reflect.TypeFor[Media]()), name)
		}
	}
	return ok && r.end()
}

// Money is an amount in a currency.
type Money struct {
	Amount   Decimal `json:"amount"`   // exact, such as "0.0051"
	Currency string  `json:"currency"` // ISO 4217, such as "USD"
}

// CostBreakdown has the parts of the cost of a message.
type CostBreakdown struct {
	CarrierFee Money `json:"carrier_fee"` // passed on for the carrier
	Rate       Money `json:"rate"`        // Telnyx's own
}

// Problem is one entry of "errors" (Telnyx API v2, error object).
type Problem struct {
	Code   Text            `json:"code"`   // such as "40008"
	Title  string          `json:"title"`  // short
	Detail string          `json:"detail"` // long; for email what the remote server said
	Meta   json.RawMessage `json:"meta"`   // such as the URL of a page about the code
	Source ProblemSource   `json:"source"` // what to blame

	EnhancedCode Text `json:"enhanced_code"` // email only: status such as "5.1.1"
	SMTPStatus   Int  `json:"smtp_status"`   // email only: such as 550; 0 if the mail never reached SMTP
	Retryable    bool `json:"retryable"`     // email only: sending it again could help
}

// ProblemSource is the part of a request that a [Problem] is about, or for
// email the place where it was noticed.
type ProblemSource struct {
	Pointer   string `json:"pointer"`   // JSON pointer into your request
	Parameter string `json:"parameter"` // or query parameter
	Place     string `json:"-"`         // sent as plain text: smtp, mta or api
}

// UnmarshalJSON accepts an object, a string or null. It never fails.
func (s *ProblemSource) UnmarshalJSON(b []byte) error {
	*s = ProblemSource{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		s.Place = scalar(b)
		return nil
	}
	type plain ProblemSource
	gently(b, (*plain)(s))
	return nil
}

// MarshalJSON returns an object, or the plain text if that is what was sent.
func (s ProblemSource) MarshalJSON() ([]byte, error) {
	if s.Place != "" {
		return json.Marshal(s.Place)
	}
	type plain ProblemSource
	return json.Marshal(plain(s))
}

// LinkClickedPayload is the payload of [LinkClicked].
type LinkClickedPayload struct {
	RecordType  string `json:"record_type"`  // "link_clicked"
	MessageID   string `json:"message_id"`   // the message that had the link
	To          string `json:"to"`           // its recipient
	URL         string `json:"url"`          // where the link leads
	TimeClicked Time   `json:"time_clicked"` // when it was opened
}

// SpendLimitReachedPayload is the payload of [SpendLimitReached].
type SpendLimitReachedPayload struct {
	ProfileID       string  `json:"profile_id"`       // of the messaging profile
	ConfiguredLimit Decimal `json:"configured_limit"` // in US dollars
	CurrentCost     Decimal `json:"current_cost"`     // in US dollars, so far today
}
