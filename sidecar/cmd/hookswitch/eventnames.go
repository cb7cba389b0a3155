package main

import (
	"reflect"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// goNames are words of event types that Go code spells differently.
var goNames = map[string]string{
	"10dlc": "TenDLC", "ai": "AI", "amd": "AMD", "detectintent": "DetectIntent", "dkim": "DKIM", "dtmf": "DTMF", "foc": "FOC", "http": "HTTP",
	"loa": "LOA", "sim": "SIM", "sip": "SIP", "siprec": "SIPREC", "texml": "TeXML", "whatsapp": "WhatsApp",
}

// goIrregular are the names in package event that do not follow from the event
// type.
var goIrregular = map[string]string{
	"messaging-profile.spend-limit-reached":                                "SpendLimitReached",
	"messaging_hosted_numbers_orders.created":                              "HostedNumberOrderCreated",
	"messaging_hosted_numbers_orders.deleted":                              "HostedNumberOrderDeleted",
	"messaging_hosted_numbers_orders.internal_transfer_approval_requested": "HostedNumberTransferApprovalRequested",
	"messaging_hosted_numbers_orders.internal_transfer_approved":           "HostedNumberTransferApproved",
	"messaging_hosted_numbers_orders.internal_transfer_auto_approved":      "HostedNumberTransferAutoApproved",
	"messaging_hosted_numbers_orders.internal_transfer_detected":           "HostedNumberTransferDetected",
	"messaging_hosted_numbers_orders.internal_transfer_rejected":           "HostedNumberTransferRejected",
	"messaging_hosted_numbers_orders.updated":                              "HostedNumberOrderUpdated",
	"sim_card.status.changed":                                              "SIMCardStatusDotChanged",
	"whatsapp.account.restricted":                                          "WhatsAppRestricted",
	"whatsapp.phone_number.quality_changed":                                "WhatsAppQualityChanged",
}

// goName returns the name of an event type in package event. A test compares it
// with the source for every type.
func goName(eventType string) string {
	if name := goIrregular[eventType]; name != "" {
		return name
	}
	return camelCase(eventType)
}

func camelCase(eventType string) string {
	var name strings.Builder
	for _, word := range strings.FieldsFunc(eventType, func(r rune) bool { return strings.ContainsRune("._-", r) }) {
		if special := goNames[word]; special != "" {
			word = special
		}
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// goPayload returns the type of an event type's payload, such as
// "event.Message", or "" if the event type is unknown.
func goPayload(eventType string) string {
	payload := event.NewPayload(eventType)
	if payload == nil {
		return ""
	}
	return reflect.TypeOf(payload).Elem().String()
}
