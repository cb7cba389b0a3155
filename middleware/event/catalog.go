package event

import (
	"maps"
	"reflect"
	"slices"
)

// Info is what is known of an event type: one row of the catalogue. The zero
// value is that of an event type which nobody has defined.
type Info struct {
	Name    string       // as in event_type
	Payload reflect.Type // the Go type of the payload

	// Product is the part of Telnyx that sends the event, such as "Messaging".
	// It is "", like all that follows, for a name that a program has defined and
	// that is not like any of this package.
	Product string

	// Envelope is the form of the body, in the words of webhook.Shape: "v2",
	// "form", … It is the usual one: any event can also come in an older one.
	Envelope string

	// Docs is the page of Telnyx's documentation that describes the event or
	// its product, or "" if there is none, as for names found in examples only.
	Docs string

	// Signature is how the request is signed: [SignedEd25519] or [SignedHMAC].
	Signature string

	// Answer is what the sender reads from the response: "TeXML", "JSON", or
	// "" for nearly all events, of which only the status counts. An event that
	// wants an answer cannot be stored first and handled later.
	Answer string
}

// How webhooks are signed.
const (
	// SignedEd25519 is Telnyx's usual scheme, which a webhook.Verifier checks.
	SignedEd25519 = "ed25519"

	// SignedHMAC is that of meetings: X-Meeting-Bot-Signature, an HMAC-SHA256
	// with a secret that Telnyx shows once, when it creates the session. Every
	// session has another secret, and how the header is laid out is not
	// documented in full, so no Verifier accepts these events: they cannot be
	// received yet. [Decode] and package webhook's Decode understand them.
	SignedHMAC = "hmac-sha256"
)

// Lookup returns what is known of an event type, and whether it is defined. It
// is safe for concurrent use.
func Lookup(eventType string) (Info, bool) {
	payload := NewPayload(eventType)
	if payload == nil {
		return Info{}, false
	}
	info := Info{Name: eventType, Payload: reflect.TypeOf(payload).Elem()}
	best := -1
	for i := range catalog {
		if row := &catalog[i]; match(row.pattern, eventType) && len(row.pattern) > best {
			best = len(row.pattern)
			info.Product, info.Envelope, info.Docs, info.Answer = row.product, row.envelope, row.docs, row.answer
			info.Signature = SignedEd25519
			if row.signature != "" {
				info.Signature = row.signature
			}
		}
	}
	if info.Docs != "" {
		info.Docs = docsSite + info.Docs
	}
	return info, true
}

// Catalog returns what is known of every defined event type, in alphabetical
// order.
func Catalog() []Info {
	names := Names()
	rows := make([]Info, 0, len(names))
	for _, name := range names {
		if info, ok := Lookup(name); ok {
			rows = append(rows, info)
		}
	}
	return rows
}

const docsSite = "https://developers.telnyx.com/"

// A row describes the event types that fit a pattern; of several rows that fit
// the one with the longest pattern counts.
type row struct {
	pattern, product, envelope string
	docs                       string // below docsSite
	answer                     string
	signature                  string // "" for SignedEd25519
}

// Products, and the pages that many events share.
const (
	ai         = "AI"
	callCtl    = "Call Control"
	conference = "Conferences"
	hosted     = "Hosted numbers"
	meetings   = "Meetings"
	messaging  = "Messaging"
	numbers    = "Numbers"
	porting    = "Porting"
	reputation = "Number Reputation"
	texml      = "TeXML"
	verify     = "Verify"
	whatsapp   = "WhatsApp"

	voicePage     = "docs/voice/programmable-voice/voice-api-webhooks"
	amdPage       = "docs/voice/programmable-voice/answering-machine-detection"
	streamingPage = "docs/voice/programmable-voice/media-streaming"
	emailPage     = "docs/messaging/email/webhooks-events"
	meetingPage   = "docs/meeting/webhooks"
	callbacks     = "api-reference/callbacks/"
)

// catalog says of every event type what its name and payload do not.
var catalog = []row{
	{pattern: "message.*", product: messaging, envelope: "v2", docs: "docs/messaging/messages/receiving-webhooks"},
	{pattern: "link_clicked", product: messaging, envelope: "resource", docs: callbacks + "replaced-link-click"},
	{pattern: "messaging-profile.*", product: messaging, envelope: "v2", docs: "docs/messaging/messages/configurable-spend-limits"},
	{pattern: "whatsapp.*", product: whatsapp, envelope: "flat"},
	{pattern: "whatsapp.account.update", product: whatsapp, envelope: "v2", docs: callbacks + "whatsapp-account-update"},
	{pattern: "10dlc.*", product: "10DLC", envelope: "v2", docs: "docs/messaging/10dlc/event-notifications"},
	{pattern: "email.*", product: "Email", envelope: "v2", docs: emailPage},
	{pattern: "email_domain.*", product: "Email", envelope: "v2", docs: emailPage},

	{pattern: "call.*", product: callCtl, envelope: "v2", docs: voicePage},
	{pattern: "call.machine.*", product: callCtl, envelope: "v2", docs: amdPage},
	{pattern: "call.transcription", product: callCtl, envelope: "v2", docs: callbacks + "transcription"},
	{pattern: "call.streaming.*", product: callCtl, envelope: "v2", docs: streamingPage},
	{pattern: "streaming.*", product: callCtl, envelope: "v2", docs: streamingPage},
	{pattern: "siprec.*", product: callCtl, envelope: "v2", docs: callbacks + "call-siprec-started"},
	{pattern: "siprec.failed", product: callCtl, envelope: "v2", docs: callbacks + "call-siprec-failed"},
	{pattern: "calls.*", product: callCtl, envelope: "v2"},
	{pattern: "call.conversation.created", product: callCtl, envelope: "v2", docs: callbacks + "call-conversation-created"},
	{pattern: "dialogflow.*", product: callCtl, envelope: "v2", docs: "docs/voice/programmable-voice/dialogflow-es"},
	{pattern: "conference.*", product: conference, envelope: "v2", docs: voicePage},
	{pattern: "conference.floor.changed", product: conference, envelope: "flat", docs: voicePage},
	{pattern: "texml.call.*", product: texml, envelope: "form", docs: callbacks + "texml-call-completed"},
	{pattern: "texml.call.initiated", product: texml, envelope: "form", docs: callbacks + "texml-call-initiated"},
	{pattern: "texml.call.ringing", product: texml, envelope: "form", docs: callbacks + "texml-call-ringing"},
	{pattern: "texml.call.answered", product: texml, envelope: "form", docs: callbacks + "texml-call-answered"},
	{pattern: "texml.call.amd", product: texml, envelope: "form", docs: callbacks + "texml-call-amd"},
	{pattern: "texml.recording.*", product: texml, envelope: "form", docs: callbacks + "texml-recording-completed"},
	{pattern: "texml.recording.in-progress", product: texml, envelope: "form", docs: callbacks + "texml-recording-in-progress"},
	{pattern: "texml.transcription", product: texml, envelope: "form", docs: callbacks + "texml-transcription"},
	{pattern: "texml.realtime_transcription", product: texml, envelope: "form", docs: "docs/voice/programmable-voice/speech-to-text"},
	{pattern: "texml.refer.*", product: texml, envelope: "form", docs: callbacks + "texml-refer-status"},
	{pattern: "texml.queue", product: texml, envelope: "form", docs: callbacks + "texml-queue", answer: "TeXML"},
	{pattern: "texml.gather", product: texml, envelope: "form", docs: callbacks + "texml-gather", answer: "TeXML"},
	{pattern: "texml.ai_gather", product: texml, envelope: "form", docs: callbacks + "texml-ai-gather", answer: "TeXML"},
	{pattern: "texml.http_request", product: texml, envelope: "form", docs: callbacks + "texml-http-request", answer: "TeXML"},
	{pattern: "texml.stream-*", product: texml, envelope: "form", docs: callbacks + "texml-stream"},
	{pattern: "texml.siprec-*", product: texml, envelope: "form", docs: callbacks + "texml-siprec"},
	{pattern: "texml.conference-*", product: texml, envelope: "form", docs: callbacks + "texml-conference-start"},
	{pattern: "texml.participant-*", product: texml, envelope: "form"},
	{pattern: "fax.*", product: "Fax", envelope: "v2", docs: "docs/programmable-fax/receiving-webhooks"},

	{pattern: "assistant.initialization", product: ai, envelope: "v2-no-meta", docs: "docs/inference/ai-assistants/dynamic-variables", answer: "JSON"},
	{pattern: "dynamic_variables", product: ai, envelope: "v2-no-meta", answer: "JSON"},
	{pattern: "ai_assistant.*", product: ai, envelope: "v2"},
	{pattern: "conversation.insights.completed", product: ai, envelope: "flat", docs: "docs/inference/ai-insights/insight-groups"},
	{pattern: "conversation_insight_result", product: ai, envelope: "flat", docs: "docs/inference/ai-insights/insight-groups"},
	{pattern: "session.*", product: meetings, envelope: "meeting", docs: meetingPage, signature: SignedHMAC},
	{pattern: "recording.*", product: meetings, envelope: "meeting", docs: meetingPage, signature: SignedHMAC},
	{pattern: "transcript.*", product: meetings, envelope: "meeting", docs: meetingPage, signature: SignedHMAC},
	{pattern: "artifact.*", product: meetings, envelope: "meeting", docs: meetingPage, signature: SignedHMAC},

	{pattern: "number_order.complete", product: numbers, envelope: "v2", docs: callbacks + "number-order-status-update"},
	{pattern: "number_reputation.number.flagged", product: reputation, envelope: "v2", docs: "api-reference/phone-numbers/number-ownership-needs-confirmation"},
	{pattern: "number_reputation.number.removed", product: reputation, envelope: "v2", docs: "api-reference/phone-numbers/number-removed-for-an-ownership-reason"},
	{pattern: "number_reputation.external_verification.status_changed", product: reputation, envelope: "v2", docs: "api-reference/phone-numbers/ownership-verification-reviewed"},
	{pattern: "advanced_order.*", product: numbers, envelope: "v2", docs: "docs/numbers/phone-numbers/advanced-orders"},
	{pattern: "messaging_hosted_numbers_orders.*", product: hosted, envelope: "v2", docs: "docs/messaging/messages/hosted-sms/internal-transfer"},
	{pattern: "porting_order.*", product: porting, envelope: "v2", docs: "docs/numbers/porting/port-in-notifications"},
	{pattern: "porting_order.deleted", product: porting, envelope: "stored", docs: "docs/numbers/porting/port-in-notifications"},
	{pattern: "porting_order.messaging_changed", product: porting, envelope: "stored", docs: "docs/numbers/porting/port-in-notifications"},
	{pattern: "portout.*", product: porting, envelope: "v2", docs: "docs/numbers/porting/port-out-notifications"},
	{pattern: "customer_service_record.*", product: porting, envelope: "v2"},
	{pattern: "verify.*", product: verify, envelope: "v2", docs: "docs/identity/verify/receiving-webhooks"},
	{pattern: "verification.complete", product: verify, envelope: "v2", docs: "docs/identity/verify/dtmf-confirm"},
	{pattern: "video.room.*", product: "Video", envelope: "v2"},
	{pattern: "sim_card.*", product: "Wireless", envelope: "v2"},
}

// Misnomers returns every name that [Misnomer] knows, in alphabetical order. A
// name that ends in a star is a pattern.
func Misnomers() []string {
	return slices.Sorted(maps.Keys(misnomers))
}
