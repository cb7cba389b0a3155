package event

import "strings"

// misnomers are names found in guides and subscription lists, or patterns of
// such names, by what Telnyx sends instead: nothing, where that is "". Behind
// them is how often they were found in public repositories.
var misnomers = map[string]string{
	"message.delivered":  MessageFinalized.String(), // 92, in AI-written guides; the status is in to[].status
	"message.failed":     MessageFinalized.String(), // 72, likewise
	"message.link_click": LinkClicked.String(),      // 16
	"message.queued":     MessageSent.String(),      // 12; queued is a status of the recipient

	"call.ringing":           CallInitiated.String(),    // 24
	"call.failed":            CallHangup.String(),       // 4; see hangup_cause
	"call.transferred":       CallBridged.String(),      // a transfer bridges the new leg
	"call.bridge.started":    CallBridged.String(),      //
	"call.streaming.stopped": StreamingStopped.String(), // 7
	"call.streaming.failed":  StreamingFailed.String(),  //

	"verification.sent":     VerifySent.String(),           // 6
	"verification.accepted": VerificationComplete.String(), // 6
	"verification.rejected": VerificationComplete.String(), // 6
	"verification.expired":  VerifyFailed.String(),         // 6

	"fax.sent":               FaxDelivered.String(),  // in one fax guide
	"email.expired":          EmailBounced.String(),  // expired is a status of the recipient
	"email.rejected":         EmailBounced.String(),  // 5
	"email.inbound":          EmailReceived.String(), // 3
	"email.inbound.received": EmailReceived.String(), //

	"ai.assistant.insights":                CallConversationInsightsGenerated.String(), // 4
	"brand.*":                              TenDLCBrandUpdate.String(),                 //
	"campaign.status_update":               TenDLCCampaignUpdate.String(),              //
	"toll_free_verification.status_update": "",                                         // its own webhook has no documented type
	"esim.profile.*":                       "",                                         // no event of eSIMs is documented
}

// Misnomer reports whether Telnyx never sends an event type although some of
// its documentation names it, and which one to use instead: a handler for
// "message.delivered" would wait for ever, "message.finalized" is what comes.
// The name to use is "" where nothing is known to come.
func Misnomer(eventType string) (use string, wrong bool) {
	if use, wrong = misnomers[eventType]; wrong {
		return use, true
	}
	for _, pattern := range misnomerPatterns {
		if match(pattern, eventType) {
			return misnomers[pattern], true
		}
	}
	return "", false
}

// misnomerPatterns are the keys of misnomers that have a star.
var misnomerPatterns = func() (list []string) {
	for name := range misnomers {
		if strings.HasSuffix(name, "*") {
			list = append(list, name)
		}
	}
	return list
}()
