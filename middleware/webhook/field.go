package webhook

// field is a member that the detection of an envelope looks at.
type field int

const (
	fData field = iota
	fMeta
	fID
	fEventType
	fOccurredAt
	fPayload
	fRecordType
	fCreatedAt
	fWebhookID
	fEvent
	fVersion
	fURLs
	fFormat
	fMetadata
	fAttempt
	fDeliveredTo
	fEventTimestamp
	fBrandID
	fCampaignID
	fSMSID
	fAccountSID
	fCallSID
	numFields
	fOther field = -1
)

// fieldOf compares names exactly. Parsers that ignore case (encoding/json)
// would let a second, differently spelled member change the route.
func fieldOf(name []byte) field {
	switch string(name) { // does not allocate
	case "data":
		return fData
	case "meta":
		return fMeta
	case "id":
		return fID
	case "event_type":
		return fEventType
	case "occurred_at":
		return fOccurredAt
	case "payload":
		return fPayload
	case "record_type":
		return fRecordType
	case "created_at":
		return fCreatedAt
	case "webhook_id":
		return fWebhookID
	case "event":
		return fEvent
	case "version":
		return fVersion
	case "urls":
		return fURLs
	case "format":
		return fFormat
	case "metadata":
		return fMetadata
	case "attempt":
		return fAttempt
	case "delivered_to":
		return fDeliveredTo
	case "event_timestamp":
		return fEventTimestamp
	case "brandId":
		return fBrandID
	case "campaignId":
		return fCampaignID
	case "sms_id":
		return fSMSID
	case "AccountSid":
		return fAccountSID
	case "CallSid":
		return fCallSID
	}
	return fOther
}
