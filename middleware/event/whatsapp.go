package event

// Events of WhatsApp Business accounts. Messages arrive as "message.…"
// events. All but the first are known from Telnyx's agent skills only, and are
// sent without a "data" object.
var (
	WhatsAppAccountUpdate    = Define[WhatsAppAccountUpdatePayload]("whatsapp.account.update")                // something about the account changed
	WhatsAppRestricted       = Define[WhatsAppRestrictedPayload]("whatsapp.account.restricted")               // Meta limits or bans the account
	WhatsAppTemplateApproved = Define[WhatsAppTemplate]("whatsapp.template.approved")                         // a template may be used
	WhatsAppTemplateRejected = Define[WhatsAppTemplate]("whatsapp.template.rejected")                         // it may not
	WhatsAppTemplateDisabled = Define[WhatsAppTemplate]("whatsapp.template.disabled")                         // it may no longer
	WhatsAppQualityChanged   = Define[WhatsAppQualityChangedPayload]("whatsapp.phone_number.quality_changed") // a number was rated anew
)

// WhatsAppAccountUpdatePayload is the payload of [WhatsAppAccountUpdate].
type WhatsAppAccountUpdatePayload struct {
	RecordType string `json:"record_type"` // "whatsapp_account"
	WABAID     Text   `json:"waba_id"`     // id of the account at Meta, digits
	Event      string `json:"event"`       // what happened, in Meta's words
}

// WhatsAppRestrictedPayload is the payload of [WhatsAppRestricted].
type WhatsAppRestrictedPayload struct {
	RecordType string `json:"record_type"` // "whatsapp_account"
	WABAID     Text   `json:"waba_id"`     // id of the account at Meta, digits
	BanInfo    struct {
		State string `json:"waba_ban_state"` // SCHEDULE_FOR_DISABLE, DISABLE or REINSTATE
		Date  Time   `json:"waba_ban_date"`  // the day it takes effect
	} `json:"ban_info"`
}

// WhatsAppTemplate is the payload of the template events.
type WhatsAppTemplate struct {
	RecordType     string `json:"record_type"`      // "whatsapp_template"
	TemplateID     string `json:"template_id"`      // at Telnyx
	TemplateName   string `json:"template_name"`    // yours
	Language       string `json:"language"`         // such as en_US
	MetaTemplateID Text   `json:"meta_template_id"` // at Meta, digits
	WABAID         Text   `json:"waba_id"`          // id of the account at Meta, digits
	Status         string `json:"status"`           // APPROVED, REJECTED or DISABLED
	Reason         string `json:"reason"`           // why not, in Meta's words
}

// WhatsAppQualityChangedPayload is the payload of [WhatsAppQualityChanged].
type WhatsAppQualityChangedPayload struct {
	RecordType            string `json:"record_type"`             // "whatsapp_phone_number"
	WABAID                Text   `json:"waba_id"`                 // id of the account at Meta, digits
	PhoneNumber           string `json:"phone_number"`            // +E.164
	PreviousQualityRating string `json:"previous_quality_rating"` // GREEN, YELLOW, RED or UNKNOWN
	NewQualityRating      string `json:"new_quality_rating"`      // the same words
}
