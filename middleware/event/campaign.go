package event

// 10DLC events: brands, campaigns and their numbers, which carriers in the
// United States must know before they accept application traffic. Keys are in
// camel case.
var (
	TenDLCBrandUpdate       = Define[TenDLCBrandUpdatePayload]("10dlc.brand.update")
	TenDLCCampaignUpdate    = Define[TenDLCCampaignUpdatePayload]("10dlc.campaign.update") // also sent without any envelope
	TenDLCPhoneNumberUpdate = Define[TenDLCPhoneNumberUpdatePayload]("10dlc.phone_number.update")
)

// TenDLCReason is one reason for a refusal.
type TenDLCReason struct {
	Fields      List[string] `json:"fields"` // of your registration
	Description string       `json:"description"`
}

// TenDLCBrandUpdatePayload is the payload of [TenDLCBrandUpdate].
type TenDLCBrandUpdatePayload struct {
	BrandID     string             `json:"brandId"`    // at Telnyx
	TCRBrandID  string             `json:"tcrBrandId"` // at The Campaign Registry
	BrandName   string             `json:"brandName"`
	Type        string             `json:"type"`      // REGISTRATION, REVET, ORDER_EXTERNAL_VETTING or TCR_BRAND_UPDATE
	Status      string             `json:"status"`    // success or failed
	EventType   string             `json:"eventType"` // the registry's word, such as BRAND_ADD
	Description string             `json:"description"`
	Reasons     List[TenDLCReason] `json:"reasons"`
}

// TenDLCCampaignUpdatePayload is the payload of [TenDLCCampaignUpdate], in
// either of its two forms.
type TenDLCCampaignUpdatePayload struct {
	CampaignID string `json:"campaignId"` // at Telnyx, or at The Campaign Registry
	BrandID    string `json:"brandId"`    // at Telnyx
	CSPID      string `json:"cspId"`      // campaign service provider

	// Type is REGISTRATION, TELNYX_REVIEW, TELNYX_EVENT, MNO_REVIEW,
	// NUMBER_POOL_PROVISIONED, NUMBER_POOL_DEPROVISIONED, TCR_EVENT, VERIFIED
	// or CAMPAIGN_NUDGE.
	Type   string `json:"type"`
	Status string `json:"status"` // ACCEPTED, REJECTED, DORMANT, success or failed

	EventType         string             `json:"eventType"` // the registry's word, such as CAMPAIGN_ADD
	Description       string             `json:"description"`
	Reasons           List[TenDLCReason] `json:"reasons"`
	NudgeIntent       string             `json:"nudgeIntent"` // of a nudge: APPEAL_REJECTION or REVIEW
	TMobileRegistered bool               `json:"isTMobileRegistered"`
	CreatedDate       Time               `json:"createdDate"` // in the form with an envelope
	CreateDate        Time               `json:"createDate"`  // the same in the form without one
}

// TenDLCPhoneNumberUpdatePayload is the payload of [TenDLCPhoneNumberUpdate].
type TenDLCPhoneNumberUpdatePayload struct {
	PhoneNumber   string             `json:"phoneNumber"`   // +E.164
	CampaignID    string             `json:"campaignId"`    // at Telnyx
	TCRCampaignID string             `json:"tcrCampaignId"` // at The Campaign Registry
	Type          string             `json:"type"`          // ASSIGNMENT, DELETION or STATUS_UPDATE
	Status        string             `json:"status"`        // ADDED, DELETED, PENDING, FAILED, success or failed
	Reasons       List[TenDLCReason] `json:"reasons"`
}
