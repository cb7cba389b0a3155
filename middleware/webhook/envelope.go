package webhook

import (
	"mime"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// Shape is the form of a body. Telnyx has a dozen, by product and by age.
type Shape string

// The shapes, in the order in which they are told apart.
const (
	ShapeForm         Shape = "form"          // TeXML: application/x-www-form-urlencoded
	ShapeV2           Shape = "v2"            // {"data":{"event_type",…,"payload"},"meta"}
	ShapeV2NoMeta     Shape = "v2-no-meta"    // the same without "meta"
	ShapeMeeting      Shape = "meeting"       // {"event","version","data"}
	ShapeInspector    Shape = "inspector"     // {"event_type","webhook_id","created_at","payload"}: the portal's copy of an event
	ShapeV1           Shape = "v1"            // {"event_type":"call_answered","created_at","payload"}
	ShapeStored       Shape = "stored"        // {"event_type","urls","format","payload"}: porting
	ShapeFlat         Shape = "flat"          // {"event_type","payload"}
	ShapeCallRecord   Shape = "call-record"   // {"name","metadata":{"event"}}: GET /v2/call_events
	ShapeResource     Shape = "resource"      // {"data":{"record_type",…}} without an event type
	ShapeFlatCampaign Shape = "flat-campaign" // {"brandId","campaignId",…}: 10DLC
	ShapeV1Message    Shape = "v1-message"    // {"sms_id",…}: messaging API v1
	ShapeRaw          Shape = "raw"           // anything else: your own JSON, or no JSON
)

// Decode returns the event in a body that something else vouches for: a sidecar
// that verified it, or a store. It never fails; a body that it does not
// understand becomes an event of [ShapeRaw]. It does not check Telnyx's
// signature; requests from the network belong to a [Verifier].
//
// The event keeps body, which must not change afterwards.
func Decode(contentType string, body []byte) *Event {
	e := new(Event)
	e.decode(contentType, body)
	return e
}

func (e *Event) decode(contentType string, body []byte) {
	*e = Event{Raw: body, Shape: ShapeRaw, Attempt: 1}
	if isForm(contentType) {
		e.decodeForm(string(body))
		return
	}
	var s scan
	s.scanBody(body)
	if s.why != "" {
		// Only what looks like an object could be routed differently by
		// another parser; other text has no route to be wrong about.
		if strings.HasPrefix(strings.TrimLeft(string(body[:min(len(body), 64)]), "\ufeff \t\r\n"), "{") {
			e.Ambiguous = s.why
		}
		return
	}
	e.decodeJSON(&s)
}

func isForm(contentType string) bool {
	if contentType == "application/json" { // nearly always
		return false
	}
	mediaType, _, _ := mime.ParseMediaType(contentType)
	return mediaType == "application/x-www-form-urlencoded"
}

// fromQuery makes e the event of a GET request, whose fields are in the query.
func (e *Event) fromQuery(query string) {
	e.Raw = []byte(query)
	e.Payload = nil
	e.decodeForm(query)
}

// decodeJSON finds the envelope. The order of the cases tells all of Telnyx's
// published bodies apart.
func (e *Event) decodeJSON(s *scan) {
	top, data := &s.top, &s.data
	switch {
	case data.has(fEventType):
		e.Shape = ShapeV2NoMeta
		if top.has(fMeta) {
			e.Shape = ShapeV2
		}
		e.fill(s, data, fEventType, fID, fOccurredAt, fPayload)
		if data.has(fCreatedAt) {
			e.CreatedAt = event.ParseTime(string(s.appendText(nil, data, fCreatedAt)))
		}
	case top.has(fEvent) && top.has(fVersion):
		e.Shape = ShapeMeeting
		e.fill(s, top, fEvent, fID, fOccurredAt, fData)
	case top.has(fEventType) && top.has(fCreatedAt) && top.has(fWebhookID):
		e.Shape = ShapeInspector
		e.fill(s, top, fEventType, fWebhookID, fCreatedAt, fPayload)
	case top.has(fEventType) && top.has(fCreatedAt):
		e.Shape = ShapeV1
		e.fill(s, top, fEventType, fID, fCreatedAt, fPayload)
	case top.has(fEventType) && top.has(fURLs) && top.has(fFormat):
		e.Shape = ShapeStored
		e.fill(s, top, fEventType, fID, fOccurredAt, fPayload)
	case top.has(fEventType):
		e.Shape = ShapeFlat
		e.fill(s, top, fEventType, fID, fOccurredAt, fPayload)
		if !top.has(fPayload) {
			e.Payload = s.body // conversation.insights.completed has its fields here
		}
	case s.metadata.has(fEvent):
		e.Shape = ShapeCallRecord
		e.fill(s, &s.inner, fEventType, fID, fOccurredAt, fPayload)
	case data.has(fRecordType):
		e.Shape = ShapeResource
		// What kind of resource it is serves as its type: "link_clicked".
		e.fill(s, data, fRecordType, fID, fOther, fOther)
		e.Payload = s.raw(top, fData)
	case top.has(fBrandID) && top.has(fCampaignID):
		e.Shape, e.Payload = ShapeFlatCampaign, s.body
		e.Type = event.TenDLCCampaignUpdate.String() // the same in an older form
	case top.has(fSMSID):
		e.Shape, e.Payload = ShapeV1Message, s.body
		e.ID = string(s.appendText(nil, top, fSMSID))
	case top.has(fAccountSID) || top.has(fCallSID):
		e.Shape, e.Payload = ShapeForm, s.body // TeXML fields in JSON
	default:
		e.Payload = s.body
	}
}

// fill takes the facts of an event from one object. The texts share one
// allocation.
func (e *Event) fill(s *scan, o *object, eventType, id, occurredAt, payload field) {
	var room [160]byte // an id, a type, a time and a URL usually fit
	buf := room[:0]
	var ends [4]int
	fields := [3]field{eventType, id, occurredAt}
	for i, f := range fields {
		if f != fOther {
			buf = s.appendText(buf, o, f)
		}
		ends[i] = len(buf)
	}
	buf = s.appendText(buf, &s.meta, fDeliveredTo)
	ends[3] = len(buf)
	all := string(buf)
	e.Type, e.ID = all[:ends[0]], all[ends[0]:ends[1]]
	if occurred := all[ends[1]:ends[2]]; occurred != "" {
		e.OccurredAt = event.ParseTime(occurred)
	}
	e.Meta.DeliveredTo = all[ends[2]:ends[3]]
	if s.meta.has(fAttempt) {
		var digits [20]byte
		e.Meta.Attempt, _ = strconv.Atoi(string(s.appendText(digits[:0], &s.meta, fAttempt))) // sent as 1 and as "1"
	}
	if payload != fOther {
		e.Payload = s.raw(o, payload)
	}
}

// decodeForm derives the type of a TeXML callback, which names none, from its
// fields; see the names in package event.
func (e *Event) decodeForm(text string) {
	e.Shape = ShapeForm
	form, err := url.ParseQuery(text)
	if err != nil || len(form) == 0 {
		return
	}
	e.Type = texmlEvent(form)
	e.OccurredAt = event.ParseTime(form.Get("Timestamp"))
}

// texmlEvent looks for what only one kind of callback has, before the status
// of the call, which many repeat.
func texmlEvent(form url.Values) string {
	for _, word := range []string{"StatusCallbackEvent", "StreamEvent", "SiprecEvent"} {
		if form.Has(word) {
			return texmlType("texml", form.Get(word))
		}
	}
	switch {
	case form.Has("ReferCallStatus"):
		return texmlType("texml.refer", form.Get("ReferCallStatus"))
	case form.Has("TranscriptionSid"):
		return "texml.transcription"
	case form.Has("Transcript"):
		return "texml.realtime_transcription"
	case form.Has("RecordingStatus"): // one in progress may have no RecordingSid yet
		return texmlType("texml.recording", form.Get("RecordingStatus"))
	case form.Has("QueueSid"):
		return "texml.queue"
	case isGather(form):
		return "texml.gather"
	case form.Has("AnsweredBy") && !form.Has("CallStatus"):
		return "texml.call.amd" // with a status it is an ordinary callback
	case form.Get("CallStatus") == "in-progress":
		return "texml.call.answered" // as Telnyx's documentation calls it
	case form.Has("CallStatus"):
		return texmlType("texml.call", form.Get("CallStatus"))
	}
	return texmlAction(form)
}

// isGather reports whether a form has what was gathered. Digits also end a
// recording, which then is what the form is about.
func isGather(form url.Values) bool {
	return form.Has("SpeechResult") || form.Has("Digits") && !form.Has("RecordingUrl") && form.Get("CallStatus") != "dtmf"
}

// texmlAction returns the type of a callback that asks what to do next and says
// little else. Fields that an HttpRequest mapped can have any name, so it is
// what remains once the fields that every call has are there.
func texmlAction(form url.Values) string {
	for _, required := range []string{"AccountSid", "CallSid", "ConnectionId", "From", "To"} {
		if !form.Has(required) {
			return ""
		}
	}
	switch {
	case form.Has("CallbackSource"):
		return "" // of the state of the call, in a way that is not known yet
	case form.Has("Status"):
		return "texml.ai_gather"
	}
	return "texml.http_request"
}

// texmlType appends a status to the kind of a TeXML callback. A status that is
// not a plain word is left out: the sender could make up routes with it.
func texmlType(kind, status string) string {
	status = strings.ToLower(status)
	plain := func(r rune) bool { return 'a' <= r && r <= 'z' || r == '-' || r == '_' }
	if status == "" || strings.IndexFunc(status, func(r rune) bool { return !plain(r) }) >= 0 {
		return kind
	}
	return kind + "." + status
}

// withoutMeta returns the body without its "meta" member, the only part that
// changes between delivery attempts of one event.
func withoutMeta(body []byte, ambiguous bool) []byte {
	if ambiguous {
		return body
	}
	var s scan
	if s.scanBody(body); s.why != "" || s.metaMember.end == 0 {
		return body
	}
	return slices.Concat(body[:s.metaMember.start], body[s.metaMember.end:])
}
