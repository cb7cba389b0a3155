package event

// Programmable Fax events. Some deliveries of the outbound ones have no "data"
// object.
var (
	FaxQueued         = Define[Fax]("fax.queued")          // outbound: accepted
	FaxMediaProcessed = Define[Fax]("fax.media.processed") // outbound: converted for sending
	FaxSendingStarted = Define[Fax]("fax.sending.started") // outbound: the other side answered
	FaxDelivered      = Define[Fax]("fax.delivered")       // outbound: done
	FaxFailed         = Define[Fax]("fax.failed")          // either way: not done

	FaxReceivingStarted       = Define[Fax]("fax.receiving.started")        // inbound: somebody sends
	FaxMediaProcessingStarted = Define[Fax]("fax.media.processing.started") // inbound: all pages are here
	FaxReceived               = Define[Fax]("fax.received")                 // inbound: can be fetched
)

// Fax is the payload of the fax events.
type Fax struct {
	FaxID        string      `json:"fax_id"`        // the same in all events of one fax
	ConnectionID Text        `json:"connection_id"` // the fax application: a long string of digits
	UserID       string      `json:"user_id"`       // your account
	ClientState  ClientState `json:"client_state"`  // what you attached
	Direction    string      `json:"direction"`     // outbound or inbound
	From         string      `json:"from"`          // +E.164 number or SIP URI
	To           string      `json:"to"`            // +E.164 number or SIP URI
	CallerID     string      `json:"caller_id"`     // inbound: what the sender calls itself

	// Status is queued, media.processed, sending, delivered, receiving,
	// media.processing, received or failed.
	Status string `json:"status"`

	OriginalMediaURL string `json:"original_media_url"` // outbound: what you asked to send
	MediaName        string `json:"media_name"`         // or its name in Telnyx's media storage
	MediaURL         string `json:"media_url"`          // inbound: where the pages are, for ten minutes

	PageCount        Int    `json:"page_count"`
	Quality          string `json:"quality"` // normal, high, very_high, fine, …
	CallDurationSecs Int    `json:"call_duration_secs"`
	PartialContent   bool   `json:"partial_content"` // the call broke off; some pages are missing

	// FailureReason is one of some thirty words such as user_busy,
	// receiver_no_answer, destination_unreachable or account_disabled.
	FailureReason         string `json:"failure_reason"`
	InternalFailureReason string `json:"internal_failure_reason"` // for Telnyx's support
}
