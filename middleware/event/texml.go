package event

// TeXML callbacks. They are forms, name no event type, and are sent by GET if
// you ask for that. Their names here are derived from their fields: from
// CallStatus, RecordingStatus and ReferCallStatus, and from the words that
// Telnyx uses in StatusCallbackEvent, StreamEvent and SiprecEvent. A form
// becomes a JSON object of texts before it is decoded, and a field that was
// sent twice a list, of which the first counts.
var (
	TeXMLCallInitiated = Define[TeXMLCall]("texml.call.initiated")
	TeXMLCallRinging   = Define[TeXMLCall]("texml.call.ringing")
	TeXMLCallAnswered  = Define[TeXMLCall]("texml.call.answered") // CallStatus is in-progress
	TeXMLCallCompleted = Define[TeXMLCall]("texml.call.completed")
	TeXMLCallBusy      = Define[TeXMLCall]("texml.call.busy")
	TeXMLCallNoAnswer  = Define[TeXMLCall]("texml.call.no-answer")
	TeXMLCallFailed    = Define[TeXMLCall]("texml.call.failed")
	TeXMLCallCanceled  = Define[TeXMLCall]("texml.call.canceled")
	TeXMLCallDTMF      = Define[TeXMLCall]("texml.call.dtmf") // a key was pressed
	TeXMLCallAMD       = Define[TeXMLCall]("texml.call.amd")  // a human or a machine answered

	TeXMLRecordingInProgress = Define[TeXMLRecording]("texml.recording.in-progress")
	TeXMLRecordingCompleted  = Define[TeXMLRecording]("texml.recording.completed")
	TeXMLRecordingFailed     = Define[TeXMLRecording]("texml.recording.failed") // as TwiML has it; not seen

	TeXMLTranscription         = Define[TeXMLTranscriptionPayload]("texml.transcription")                  // of a recording
	TeXMLRealtimeTranscription = Define[TeXMLRealtimeTranscriptionPayload]("texml.realtime_transcription") // while it is said

	TeXMLConferenceStart  = Define[TeXMLConference]("texml.conference-start")
	TeXMLConferenceEnd    = Define[TeXMLConference]("texml.conference-end")
	TeXMLParticipantJoin  = Define[TeXMLConference]("texml.participant-join")
	TeXMLParticipantLeave = Define[TeXMLConference]("texml.participant-leave")

	// One source: the schema of the conference speaker callback.
	TeXMLParticipantSpeechStart = Define[TeXMLConference]("texml.participant-speech-start")
	TeXMLParticipantSpeechStop  = Define[TeXMLConference]("texml.participant-speech-stop")

	TeXMLStreamStarted = Define[TeXMLStream]("texml.stream-started")
	TeXMLStreamStopped = Define[TeXMLStream]("texml.stream-stopped")
	TeXMLStreamError   = Define[TeXMLStream]("texml.stream-error")
	TeXMLSIPRECStarted = Define[TeXMLSIPREC]("texml.siprec-started")
	TeXMLSIPRECStopped = Define[TeXMLSIPREC]("texml.siprec-stopped")
	TeXMLSIPRECFailed  = Define[TeXMLSIPREC]("texml.siprec-failed")

	TeXMLReferInProgress = Define[TeXMLRefer]("texml.refer.in-progress")
	TeXMLReferFailed     = Define[TeXMLRefer]("texml.refer.failed")
	TeXMLReferBusy       = Define[TeXMLRefer]("texml.refer.busy")
	TeXMLReferCanceled   = Define[TeXMLRefer]("texml.refer.canceled")

	TeXMLQueue = Define[TeXMLQueuePayload]("texml.queue") // asks what to play to a waiting caller
)

// TeXML has the fields common to all TeXML callbacks.
type TeXML struct {
	AccountSid    string `json:"AccountSid"`    // your account
	CallSid       string `json:"CallSid"`       // the call; its id in call control too
	CallSidLegacy string `json:"CallSidLegacy"` // the same
	ConnectionID  Text   `json:"ConnectionId"`  // the TeXML application: a long string of digits
	From          string `json:"From"`          // +E.164 number or SIP URI
	To            string `json:"To"`            // +E.164 number or SIP URI
	Timestamp     Time   `json:"Timestamp"`     // when the callback was made
}

// TeXMLCall is the payload of the callbacks about the state of a call.
type TeXMLCall struct {
	TeXML
	CallStatus          string `json:"CallStatus"`     // initiated, ringing, in-progress, dtmf, completed, busy, no-answer, failed or canceled
	CallbackSource      string `json:"CallbackSource"` // call-progress-events
	SequenceNumber      Int    `json:"SequenceNumber"` // from 0: in which order the callbacks of a call were made
	CallInitiatedAt     Time   `json:"CallInitiatedAt"`
	CallerID            string `json:"CallerId"`      // CNAM, if looked up
	ParentCallSid       string `json:"ParentCallSid"` // of a leg that was dialled: the call that did
	ParentCallSidLegacy string `json:"ParentCallSidLegacy"`
	ErrorCode           Text   `json:"ErrorCode"`
	ErrorMessage        string `json:"ErrorMessage"`

	ShakenStirAttestation string `json:"ShakenStirAttestation"` // A, B or C
	ShakenStirValidated   Bool   `json:"ShakenStirValidated"`   // the attestation was checked

	Digit        Text   `json:"Digit"`        // of dtmf; that it has this name is unverified
	CallDuration Int    `json:"CallDuration"` // seconds so far
	Codec        string `json:"Codec"`        // such as PCMU
	SamplingRate Int    `json:"SamplingRate"` // in hertz

	// Of machine detection.
	AnsweredBy               string  `json:"AnsweredBy"`               // human, machine, fax or unknown
	MachineDetectionDuration Decimal `json:"MachineDetectionDuration"` // milliseconds

	// Of completed calls.
	AnsweredTime      Time          `json:"AnsweredTime"`
	StartTime         Time          `json:"StartTime"`
	EndTime           Time          `json:"EndTime"`
	OccurredAt        Time          `json:"OccurredAt"`
	HangupCause       string        `json:"HangupCause"`       // normal_clearing, user_busy, …
	HangupSource      string        `json:"HangupSource"`      // caller, callee or unknown
	SIPHangupCause    Text          `json:"SipHangupCause"`    // status in SIP, such as 200
	QualityStats      *QualityStats `json:"CallQualityStats"`  // JSON inside the form; nil if not measured
	RecordingDuration Int           `json:"RecordingDuration"` // seconds
	RecordingURL      string        `json:"RecordingUrl"`
	DialCallSid       string        `json:"DialCallSid"` // the leg that a Dial made
	DialCallSidLegacy string        `json:"DialCallSidLegacy"`
	DialCallStatus    string        `json:"DialCallStatus"`   // completed, busy, no-answer, failed or canceled
	DialCallDuration  Int           `json:"DialCallDuration"` // seconds
	CallControlID     string        `json:"CallControlId"`
	CallLegID         string        `json:"CallLegId"`
	CallSessionID     string        `json:"CallSessionId"`
	OrganizationID    string        `json:"OrganizationId"`
	UserID            string        `json:"UserId"`
}

// TeXMLRecording is the payload of the recording callbacks.
type TeXMLRecording struct {
	TeXML
	RecordingSid      string `json:"RecordingSid"`      // may be missing while it is in progress
	RecordingStatus   string `json:"RecordingStatus"`   // in-progress or completed
	RecordingSource   string `json:"RecordingSource"`   // what made it, such as DialVerb
	RecordingChannels Int    `json:"RecordingChannels"` // 1 or 2
	RecordingDuration Int    `json:"RecordingDuration"` // seconds
	RecordingURL      string `json:"RecordingUrl"`
}

// TeXMLTranscriptionPayload is the payload of [TeXMLTranscription].
type TeXMLTranscriptionPayload struct {
	TeXML
	CallStatus          string `json:"CallStatus"`
	RecordingSid        string `json:"RecordingSid"`
	RecordingURL        string `json:"RecordingUrl"`
	TranscriptionSid    string `json:"TranscriptionSid"`
	TranscriptionStatus string `json:"TranscriptionStatus"` // completed or failed
	TranscriptionText   string `json:"TranscriptionText"`
}

// TeXMLRealtimeTranscriptionPayload is the payload of
// [TeXMLRealtimeTranscription].
type TeXMLRealtimeTranscriptionPayload struct {
	TeXML
	Transcript string  `json:"Transcript"`
	Confidence Decimal `json:"Confidence"` // 0 to 1
	IsFinal    Bool    `json:"IsFinal"`    // false while the engine may still change its mind
}

// TeXMLConference is the payload of the callbacks of conferences and their
// participants.
type TeXMLConference struct {
	TeXML
	ConferenceSid       string `json:"ConferenceSid"`
	FriendlyName        string `json:"FriendlyName"`        // the conference's name in your TeXML
	StatusCallbackEvent string `json:"StatusCallbackEvent"` // the event type without "texml."
	SequenceNumber      Int    `json:"SequenceNumber"`
	ParticipantLabel    string `json:"ParticipantLabel"` // yours
	CallingPartyType    string `json:"CallingPartyType"`
	FromSIPURI          string `json:"FromSipUri"`
	ToSIPURI            string `json:"ToSipUri"`
}

// TeXMLStream is the payload of the callbacks of media streaming.
type TeXMLStream struct {
	TeXML
	StreamSid   string `json:"StreamSid"`
	StreamName  string `json:"StreamName"`  // yours
	StreamEvent string `json:"StreamEvent"` // the event type without "texml."
	StreamError string `json:"StreamError"` // a sentence
}

// TeXMLSIPREC is the payload of the SIPREC callbacks.
type TeXMLSIPREC struct {
	TeXML
	SIPRECSid   string `json:"SiprecSid"`
	SIPRECEvent string `json:"SiprecEvent"` // the event type without "texml."
	SIPRECError string `json:"SiprecError"` // a sentence
}

// TeXMLRefer is the payload of the callbacks of a transfer by SIP REFER.
type TeXMLRefer struct {
	TeXML
	ReferCallStatus       string `json:"ReferCallStatus"`       // in-progress, failed, busy or canceled
	ReferSIPResponseCode  Int    `json:"ReferSipResponseCode"`  // answer to the REFER, such as 202
	NotifySIPResponseCode Int    `json:"NotifySipResponseCode"` // the result of the transfer, such as 200
}

// TeXMLQueuePayload is the payload of [TeXMLQueue].
type TeXMLQueuePayload struct {
	TeXML
	QueueSid         string `json:"QueueSid"`         // the queue's name
	QueuePosition    Int    `json:"QueuePosition"`    // place in it, from 1
	QueueTime        Int    `json:"QueueTime"`        // seconds waited so far
	AvgQueueTime     Int    `json:"AvgQueueTime"`     // seconds others waited
	CurrentQueueSize Int    `json:"CurrentQueueSize"` // callers in it
}
