package event

// Telnyx Verify events.
var (
	VerifySent      = Define[Verification]("verify.sent")      // the code is on its way
	VerifyDelivered = Define[Verification]("verify.delivered") // it arrived
	VerifyFailed    = Define[Verification]("verify.failed")    // it did not

	VerificationComplete = Define[VerificationCompletePayload]("verification.complete") // somebody entered the code, or a wrong one
)

// Verification is the payload of the delivery events. Its times have no
// offset and are UTC.
type Verification struct {
	ID             string `json:"id"`
	RecordType     string `json:"record_type"`     // "verification"
	ProfileID      string `json:"profile_id"`      // verify profile
	PhoneNumber    string `json:"phone_number"`    // +E.164
	Type           string `json:"type"`            // sms, call, flashcall, whatsapp, …
	Status         string `json:"status"`          // pending, accepted, invalid, expired or error
	DeliveryStatus string `json:"delivery_status"` // sent, delivered, sending_failed, delivery_failed or delivery_unconfirmed
	CustomCode     Text   `json:"custom_code"`     // the code, if you chose it
	Extension      Text   `json:"extension"`       // dialled after the call was answered
	FailedAttempts Int    `json:"failed_attempts"` // wrong codes so far
	MCCMNC         Text   `json:"mccmnc"`          // mobile network of the number
	TimeoutSecs    Int    `json:"timeout_secs"`    // how long the code is good
	CreatedAt      Time   `json:"created_at"`
	UpdatedAt      Time   `json:"updated_at"`
}

// VerificationCompletePayload is the payload of [VerificationComplete].
type VerificationCompletePayload struct {
	ID              string `json:"id"`
	VerifyProfileID string `json:"verify_profile_id"`
	PhoneNumber     string `json:"phone_number"` // +E.164
	Type            string `json:"type"`         // such as dtmf_confirm
	Status          string `json:"status"`       // accepted or invalid
}
