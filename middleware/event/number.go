package event

// Events of orders for numbers, and of numbers hosted for messaging.
var (
	NumberOrderComplete = Define[NumberOrderCompletePayload]("number_order.complete") // success or not: see Status

	AdvancedOrderStatusUpdate = Define[AdvancedOrderStatusUpdatePayload]("advanced_order.status_update")
	AdvancedOrderNewComment   = Define[AdvancedOrderNewCommentPayload]("advanced_order.new_comment")

	HostedNumberOrderCreated = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.created")
	HostedNumberOrderUpdated = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.updated")
	HostedNumberOrderDeleted = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.deleted")

	// A number that another Telnyx account hosts changes hands.
	HostedNumberTransferDetected          = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.internal_transfer_detected")
	HostedNumberTransferApprovalRequested = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.internal_transfer_approval_requested")
	HostedNumberTransferApproved          = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.internal_transfer_approved")
	HostedNumberTransferRejected          = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.internal_transfer_rejected")
	HostedNumberTransferAutoApproved      = Define[HostedNumberOrder]("messaging_hosted_numbers_orders.internal_transfer_auto_approved")
)

// NumberOrderCompletePayload is the payload of [NumberOrderComplete], and the
// "data" of the older callback that has no event type.
type NumberOrderCompletePayload struct {
	ID                 string                   `json:"id"`
	RecordType         string                   `json:"record_type"` // "number_order"
	Status             string                   `json:"status"`      // success, pending or failure
	PhoneNumbers       List[OrderedPhoneNumber] `json:"phone_numbers"`
	PhoneNumbersCount  Int                      `json:"phone_numbers_count"`
	SubNumberOrdersIDs List[string]             `json:"sub_number_orders_ids"`
	SubNumberOrderIDs  List[string]             `json:"sub_number_order_ids"` // the same as an older specification spells it
	RequirementsMet    bool                     `json:"requirements_met"`     // papers for regulators
	CustomerReference  Text                     `json:"customer_reference"`   // yours
	BillingGroupID     string                   `json:"billing_group_id"`
	ConnectionID       Text                     `json:"connection_id"` // a long string of digits
	MessagingProfileID string                   `json:"messaging_profile_id"`
	WebhookURL         string                   `json:"webhook_url"`          // older callback only
	WebhookFailoverURL string                   `json:"webhook_failover_url"` // older callback only
	CreatedAt          Time                     `json:"created_at"`
	UpdatedAt          Time                     `json:"updated_at"`
}

// OrderedPhoneNumber is one number of an order.
type OrderedPhoneNumber struct {
	ID                     string                      `json:"id"`
	RecordType             string                      `json:"record_type"`       // "number_order_phone_number"
	PhoneNumber            string                      `json:"phone_number"`      // +E.164
	PhoneNumberType        string                      `json:"phone_number_type"` // local, mobile, national, shared_cost or toll_free
	Status                 string                      `json:"status"`            // success, pending or failure
	CountryCode            string                      `json:"country_code"`      // ISO 3166, such as US
	CountryISOAlpha2       string                      `json:"country_iso_alpha2"`
	BundleID               string                      `json:"bundle_id"`
	RequirementsMet        bool                        `json:"requirements_met"`
	RequirementsStatus     string                      `json:"requirements_status"` // approved, pending, cancelled, deleted, requirement-info-pending, …
	RegulatoryRequirements List[RegulatoryRequirement] `json:"regulatory_requirements"`
	RegulatoryGroupID      string                      `json:"regulatory_group_id"` // older callback only
}

// RegulatoryRequirement is a paper that a regulator wants to see.
type RegulatoryRequirement struct {
	RecordType    string `json:"record_type"` // "phone_number_regulatory_requirement"
	RequirementID string `json:"requirement_id"`
	FieldType     string `json:"field_type"`  // textual, datetime, address or document
	FieldValue    Text   `json:"field_value"` // text, or the id of what was uploaded
}

// AdvancedOrderStatusUpdatePayload is the payload of
// [AdvancedOrderStatusUpdate]. A status is created, pending, processing,
// ordered, hold, exception, failed, …
type AdvancedOrderStatusUpdatePayload struct {
	OrderID   string `json:"order_id"`
	OldStatus string `json:"old_status"`
	NewStatus string `json:"new_status"`
}

// AdvancedOrderNewCommentPayload is the payload of [AdvancedOrderNewComment].
type AdvancedOrderNewCommentPayload struct {
	AdvancedOrderID string `json:"advanced_order_id"`
	Comment         string `json:"comment"` // by Telnyx
}

// HostedNumberOrder is the payload of the events of hosted numbers: numbers
// that stay with another carrier for voice.
type HostedNumberOrder struct {
	OrderID          string             `json:"order_id"`
	ProfileID        string             `json:"profile_id"` // messaging profile
	UserID           string             `json:"user_id"`
	OrderStatus      string             `json:"order_status"` // pending, provisioning, successful, failed, deleted, carrier_rejected, loa_file_invalid, …
	Numbers          List[HostedNumber] `json:"numbers"`
	Decision         string             `json:"decision"`          // of a transfer: pending, approved or rejected
	ApprovalDeadline Int                `json:"approval_deadline"` // of a transfer: a number, as Telnyx sends it; 0 if there is none
}

// HostedNumber is one number of a [HostedNumberOrder].
type HostedNumber struct {
	Value  string `json:"value"`  // +E.164
	Status string `json:"status"` // pending, provisioning, ownership_successful, successful, failed, deleted, failed_timeout, …
}
