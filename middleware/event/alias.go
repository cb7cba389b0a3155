package event

import (
	"cmp"
	"strings"
)

// Canonical returns the API v2 name of an event type that was sent by API v1,
// such as "call.initiated" for "call_initiated" and "call.recording.saved" for
// "recording_saved". Any other event type is returned as it is. Version 1 is
// still the default of call control applications and connections, and
// Telnyx's own delivery records mix both spellings. A name that an older
// specification of v2 has for the same event becomes the newer one, too.
func Canonical(eventType string) string {
	if strings.IndexByte(eventType, '_') < 0 {
		return eventType
	}
	if strings.IndexByte(eventType, '.') >= 0 {
		return cmp.Or(older[eventType], eventType)
	}
	registry.Lock()
	defer registry.Unlock()
	if registry.payloads[eventType] != nil {
		return eventType // defined under this very name
	}
	// Version 1 left out "call" where a word for the action was there:
	// speak_started, but call_answered.
	for _, v1 := range []string{eventType, "call_" + eventType} {
		if name := registry.v1[v1]; name != "" {
			return name
		}
	}
	return cmp.Or(older[eventType], eventType)
}

// older are older names that do not follow from those of today.
var older = map[string]string{
	"conference_join":                         ConferenceParticipantJoined.String(),
	"conference_leave":                        ConferenceParticipantLeft.String(),
	"customer_service_request.status_changed": CustomerServiceRecordStatusChanged.String(), // in a specification of v2
}

// v1Name returns the long spelling of an event type in API v1, which had
// voice events only and wrote an underscore for each dot. It returns "" for
// an event type of other products.
func v1Name(name string) string {
	product, _, _ := strings.Cut(name, ".")
	switch product {
	case "call", "conference", "streaming", "siprec":
		return strings.ReplaceAll(name, ".", "_")
	}
	return ""
}
