package event

// Events of Number Reputation about numbers that another provider hosts. One
// source each: the page of Telnyx's API reference that [Lookup] names.
var (
	NumberReputationNumberFlagged                     = Define[ReputationNumber]("number_reputation.number.flagged") // confirm that it is still yours
	NumberReputationNumberRemoved                     = Define[ReputationNumber]("number_reputation.number.removed") // it is no longer watched
	NumberReputationExternalVerificationStatusChanged = Define[ReputationVerification]("number_reputation.external_verification.status_changed")
)

// ReputationNumber is the payload of the events of a number that is watched.
type ReputationNumber struct {
	RecordType      string `json:"record_type"`      // "reputation_phone_number"
	PhoneNumber     string `json:"phone_number"`     // +E.164
	EnterpriseID    string `json:"enterprise_id"`    // whose number it is
	Source          string `json:"source"`           // external, or telnyx for a number of yours here
	OwnershipStatus string `json:"ownership_status"` // verified, pending_confirmation, flagged or removed
	FlagReason      string `json:"flag_reason"`      // of one flagged, such as carrier_changed
	ConfirmBy       Time   `json:"confirm_by"`       // of one flagged: when it will be removed
	RemovalReason   string `json:"removal_reason"`   // of one removed, such as unconfirmed_ownership
	RemovedAt       Time   `json:"removed_at"`       // of one removed
}

// ReputationVerification is the payload of
// [NumberReputationExternalVerificationStatusChanged]: the papers that prove an
// ownership were reviewed.
type ReputationVerification struct {
	RecordType      string `json:"record_type"` // "reputation_external_verification"
	EnterpriseID    string `json:"enterprise_id"`
	Status          string `json:"status"`           // approved or rejected
	RejectionReason string `json:"rejection_reason"` // of one rejected
	ReviewedAt      Time   `json:"reviewed_at"`
}
