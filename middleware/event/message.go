package event

import "encoding/json"

// Messaging events (Telnyx API v2, webhooks "deliveryUpdate" and
// "inboundMessage").
var (
	MessageSent      = Define[Message]("message.sent")      // handed to the carrier
	MessageFinalized = Define[Message]("message.finalized") // final status known: delivered, delivery_failed, …
	MessageReceived  = Define[Message]("message.received")  // somebody sent you a message
	MessageRead      = Define[Message]("message.read")      // the recipient has read it; RCS and WhatsApp only
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

	From Endpoint       `json:"from"` // sender
	To   List[Endpoint] `json:"to"`   // recipients, each with a status of its own
	CC   List[Endpoint] `json:"cc"`   // further recipients of a group message

	Text    string          `json:"text"`    // of SMS and MMS
	Subject string          `json:"subject"` // of MMS
	Body    json.RawMessage `json:"body"`    // content of RCS and WhatsApp messages, in their own forms
	Media   List[Media]     `json:"media"`   // attachments; Telnyx keeps them for 30 days

	WebhookURL         string `json:"webhook_url"`          // where Telnyx sends the events of this message
	WebhookFailoverURL string `json:"webhook_failover_url"` // and where if that fails

	Encoding             string       `json:"encoding"`               // GSM-7 or UCS-2
	SmartEncodingApplied bool         `json:"smart_encoding_applied"` // characters were replaced to fit GSM-7
	Parts                int          `json:"parts"`                  // SMS parts the text was cut into, 1 to 10
	NumChars             int          `json:"num_chars"`              // characters in the text
	WaitSeconds          Decimal      `json:"wait_seconds"`           // time spent queued by rate limits
	Tags                 List[string] `json:"tags"`                   // yours

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
	URL         string  `json:"url"`
	ContentType string  `json:"content_type"`
	SHA256      string  `json:"sha256"`
	HashSHA256  string  `json:"hash_sha256"` // the same in some inbound messages
	Size        Decimal `json:"size"`        // bytes
}

// Money is an amount in a currency.
type Money struct {
	Amount   Decimal `json:"amount"`   // exact, such as "0.0051"
	Currency string  `json:"currency"` // ISO 4217, such as "USD"
}

// CostBreakdown says what the cost of a message consists of.
type CostBreakdown struct {
	CarrierFee Money `json:"carrier_fee"` // passed on for the carrier
	Rate       Money `json:"rate"`        // Telnyx's own
}

// Problem is one entry of "errors" (Telnyx API v2, error object).
type Problem struct {
	Code   Text            `json:"code"`  // such as "40008"
	Title  string          `json:"title"` // short
	Detail string          `json:"detail"`
	Meta   json.RawMessage `json:"meta"`
	Source struct {
		Pointer   string `json:"pointer"`   // JSON pointer into your request
		Parameter string `json:"parameter"` // or query parameter
	} `json:"source"`
}
