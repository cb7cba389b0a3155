package event

import (
	"bytes"
)

// Events of emails. A message to three recipients has three of each.
var (
	EmailScheduled    = Define[Email]("email.scheduled") // to be sent later
	EmailQueued       = Define[Email]("email.queued")
	EmailSandbox      = Define[Email]("email.sandbox") // a test: nothing is sent
	EmailSending      = Define[Email]("email.sending") // can be subscribed to, but is never sent
	EmailSent         = Define[Email]("email.sent")    // Telnyx's mail server has it
	EmailDelivered    = Define[Email]("email.delivered")
	EmailDeferred     = Define[Email]("email.deferred") // will be tried again
	EmailBounced      = Define[Email]("email.bounced")  // finally: refused, or expired in the queue
	EmailFailed       = Define[Email]("email.failed")   // Telnyx could not send it
	EmailOpened       = Define[Email]("email.opened")
	EmailClicked      = Define[Email]("email.clicked")
	EmailComplained   = Define[Email]("email.complained") // the recipient calls it spam
	EmailUnsubscribed = Define[Email]("email.unsubscribed")
	EmailReceived     = Define[Email]("email.received") // somebody sent you one

	// In newer subscription lists only; unverified.
	EmailCancelled          = Define[Email]("email.cancelled")
	EmailDailyLimitExceeded = Define[Email]("email.daily_limit_exceeded")

	EmailDomainCreated   = Define[EmailDomain]("email_domain.created")
	EmailDomainVerified  = Define[EmailDomain]("email_domain.verified")  // its DNS records are right
	EmailDomainDegraded  = Define[EmailDomain]("email_domain.degraded")  // they no longer are
	EmailDomainSuspended = Define[EmailDomain]("email_domain.suspended") // for its reputation or a policy
	EmailDomainDeleted   = Define[EmailDomain]("email_domain.deleted")

	// In newer subscription lists only; unverified.
	EmailDomainDKIMRotated = Define[EmailDomain]("email_domain.dkim_rotated")
)

// Email is the payload of the email events: one recipient and the fate of
// the message there.
type Email struct {
	ID          string `json:"id"`           // of the message, the same for all its recipients
	RecipientID string `json:"recipient_id"` // of this recipient; rarely missing
	Status      string `json:"status"`       // the last word of the event type
	OccurredAt  Time   `json:"occurred_at"`
	ScheduledAt Time   `json:"scheduled_at"` // when a scheduled message will go

	From EmailAddress       `json:"from"`
	To   List[EmailAddress] `json:"to"`  // an outbound event has one address, in To, CC or BCC
	CC   List[EmailAddress] `json:"cc"`  //
	BCC  List[EmailAddress] `json:"bcc"` // a digest instead of the address

	Subject string `json:"subject"`

	ErrorEvidence *EmailError   `json:"error_evidence"` // why it was not delivered; nil if it was
	Errors        List[Problem] `json:"errors"`         // the same in Telnyx's general form
	SMTPCode      Int           `json:"smtp_code"`      // answer of the remote server
	SMTPResponse  string        `json:"smtp_response"`  // its text

	// Of opens, clicks and unsubscriptions. Telnyx describes these without
	// their keys, so that the names are unverified.
	Recipient string `json:"recipient"`  // address
	URL       string `json:"url"`        // the link
	IPAddress string `json:"ip_address"` // of the reader
	UserAgent string `json:"user_agent"` // of the reader
	FirstOpen bool   `json:"first_open"` // not opened before
	Method    string `json:"method"`     // of unsubscribing
}

// EmailAddress is one party of an email.
type EmailAddress struct {
	Email string `json:"email"`
	Name  string `json:"name"`
	Kind  string `json:"kind"` // of a recipient: to, cc or bcc
}

// UnmarshalJSON accepts an object, an address as text, or null. It never
// fails.
func (a *EmailAddress) UnmarshalJSON(b []byte) error {
	*a = EmailAddress{}
	if b = bytes.TrimSpace(b); len(b) == 0 || b[0] != '{' {
		a.Email = scalar(b)
		return nil
	}
	type plain EmailAddress
	gently(b, (*plain)(a))
	return nil
}

// EmailError explains why an email was not delivered.
type EmailError struct {
	Code         Text   `json:"code"`          // Telnyx's: 30001 bounced, 30002 deferred, 30003 given up by an administrator, 30005 expired, …
	Message      string `json:"message"`       // what the remote server said
	EnhancedCode Text   `json:"enhanced_code"` // status such as "5.1.1"
	Source       string `json:"source"`        // where it was noticed: smtp, mta or api
	SMTPStatus   Int    `json:"smtp_status"`   // such as 550; 0 if the mail never reached SMTP
	Retryable    bool   `json:"retryable"`     // sending it again could help
}

// EmailDomain is the payload of the domain events: the domain as it is now.
// The resource has more fields, for DNS and settings.
type EmailDomain struct {
	ID     string `json:"id"`
	Domain string `json:"domain"` // such as mail.example.com
	Status string `json:"status"` // pending, verified, degraded, suspended, …
}
