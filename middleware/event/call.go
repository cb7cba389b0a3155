package event

import (
	"bytes"
)

// Call control events (Telnyx API v2, call control webhooks): the life of a
// call. What is played, recorded and said is in call_media.go, AI assistants
// are in call_ai.go, payments in call_payment.go.
var (
	CallInitiated       = Define[CallInitiatedPayload]("call.initiated")               // a call comes in, or one you dialled begins
	CallAnswered        = Define[CallAnsweredPayload]("call.answered")                 // somebody picked up
	CallBridged         = Define[Call]("call.bridged")                                 // two legs hear each other
	CallHangup          = Define[CallHangupPayload]("call.hangup")                     // the call is over
	CallHold            = Define[Call]("call.hold")                                    // the call was put on hold
	CallUnhold          = Define[Call]("call.unhold")                                  // and taken back
	CallMute            = Define[Call]("call.mute")                                    // a leg was muted; seen, but not documented
	CallEnqueued        = Define[CallEnqueuedPayload]("call.enqueued")                 // the call waits in a queue
	CallDequeued        = Define[CallDequeuedPayload]("call.dequeued")                 // it no longer does
	CallDTMFReceived    = Define[CallDTMFReceivedPayload]("call.dtmf.received")        // a key was pressed
	CallGatherEnded     = Define[CallGatherEndedPayload]("call.gather.ended")          // the digits you asked for, or none
	CallSIPInfoReceived = Define[CallSIPInfoReceivedPayload]("call.sip_info.received") // a SIP INFO came in; named by the send_sip_info command
	CallReferStarted    = Define[CallRefer]("call.refer.started")                      // a transfer by SIP REFER begins
	CallReferCompleted  = Define[CallRefer]("call.refer.completed")                    // it succeeded
	CallReferFailed     = Define[CallRefer]("call.refer.failed")                       // it did not
	CallCost            = Define[CallCostPayload]("call.cost")                         // what the call cost

	// CallsVoicemailCompleted has a plural that the other names have not, so
	// that "call.*" does not fit it. One source: Telnyx's support article about
	// voicemail. It is of numbers with hosted voicemail, and names no leg.
	CallsVoicemailCompleted = Define[CallsVoicemailCompletedPayload]("calls.voicemail.completed")
)

// CallsVoicemailCompletedPayload is the payload of [CallsVoicemailCompleted].
type CallsVoicemailCompletedPayload struct {
	CallSessionID string `json:"call_session_id"`
	ConnectionID  Text   `json:"connection_id"` // a long string of digits
	From          string `json:"from"`          // +E.164 number
	To            string `json:"to"`            // +E.164 number
	RecordingURL  string `json:"recording_url"`
}

// Call holds what the payloads of call control events have in common, and is
// the payload of those that have nothing else. Fields that Telnyx sent as
// null, or not at all, have their zero value.
type Call struct {
	CallControlID string      `json:"call_control_id"` // names the leg in commands
	CallLegID     string      `json:"call_leg_id"`     // one side of the call
	CallSessionID string      `json:"call_session_id"` // groups the legs of one conversation
	ConnectionID  Text        `json:"connection_id"`   // the application or connection: a long string of digits
	ClientState   ClientState `json:"client_state"`    // what you attached to the call
	From          string      `json:"from"`            // +E.164 number or SIP URI
	To            string      `json:"to"`              // +E.164 number or SIP URI
	State         string      `json:"state"`           // parked, bridging, answered, hangup, …

	StartTime  Time `json:"start_time"`
	OccurredAt Time `json:"occurred_at"` // repeats the event's time in most real deliveries

	Tags          List[string]    `json:"tags"`           // of the connection
	CustomHeaders List[SIPHeader] `json:"custom_headers"` // X- headers of the INVITE
	SIPHeaders    List[SIPHeader] `json:"sip_headers"`    // User-to-User and Diversion

	// Real deliveries have these; the documentation does not.
	CallingPartyType string `json:"calling_party_type"` // pstn or sip
	FromSIPURI       string `json:"from_sip_uri"`       // From in SIP
	ToSIPURI         string `json:"to_sip_uri"`         // To in SIP
	FlowDestination  Text   `json:"flow_destination"`   // of calls that a portal flow routes
}

// SIPHeader is one header of a SIP request.
type SIPHeader struct {
	Name  string `json:"name"`  // also sent as header_name
	Value string `json:"value"` // also sent as header_value
}

// UnmarshalJSON accepts an object or null. It never fails.
func (h *SIPHeader) UnmarshalJSON(b []byte) error {
	var both struct {
		Name  Text `json:"name"`
		Value Text `json:"value"`
		Long  struct {
			Name  Text `json:"header_name"`
			Value Text `json:"header_value"`
		} `json:"-"`
	}
	gently(b, &both)
	if both.Name == "" && both.Value == "" {
		gently(b, &both.Long)
		both.Name, both.Value = both.Long.Name, both.Long.Value
	}
	*h = SIPHeader{Name: string(both.Name), Value: string(both.Value)}
	return nil
}

// CallInitiatedPayload is the payload of [CallInitiated].
type CallInitiatedPayload struct {
	Call
	Direction             string `json:"direction"`               // "incoming" or "outgoing"
	CallerIDName          string `json:"caller_id_name"`          // CNAM, if looked up
	CallScreeningResult   string `json:"call_screening_result"`   // of the inbound call screening, such as spam_likely
	ConnectionCodecs      string `json:"connection_codecs"`       // comma-separated, as allowed by the connection
	OfferedCodecs         string `json:"offered_codecs"`          // comma-separated, as offered by the caller
	ShakenStirAttestation string `json:"shaken_stir_attestation"` // A, B or C
	ShakenStirValidated   bool   `json:"shaken_stir_validated"`   // the attestation was checked
}

// CallAnsweredPayload is the payload of [CallAnswered].
type CallAnsweredPayload struct {
	Call
	Direction    string `json:"direction"`     // "incoming" or "outgoing"; not documented
	Codec        string `json:"codec"`         // in use, such as PCMU; not documented
	SamplingRate Int    `json:"sampling_rate"` // in hertz; not documented
}

// CallHangupPayload is the payload of [CallHangup].
type CallHangupPayload struct {
	Call
	EndTime        Time          `json:"end_time"`
	HangupCause    string        `json:"hangup_cause"`       // normal_clearing, user_busy, no_answer, call_rejected, timeout, …
	HangupSource   string        `json:"hangup_source"`      // caller, callee or unknown
	SIPHangupCause Text          `json:"sip_hangup_cause"`   // SIP response code or Q.850 cause
	QualityStats   *QualityStats `json:"call_quality_stats"` // nil if not measured
	TelnyxError    Value         `json:"telnyx_error"`       // not documented, and null where seen
}

// QualityStats are the media statistics of a call: by direction in call
// control events, and for the whole call in TeXML.
type QualityStats struct {
	Inbound  StreamStats `json:"inbound"`
	Outbound StreamStats `json:"outbound"`

	MOS        Decimal `json:"mos"`         // TeXML only: mean opinion score, 1 to 5
	Jitter     Decimal `json:"jitter"`      // TeXML only: milliseconds
	PacketLoss Decimal `json:"packet_loss"` // TeXML only: percent
}

// UnmarshalJSON accepts an object, text that contains the JSON of one (as in
// a TeXML form), or null. It never fails.
func (q *QualityStats) UnmarshalJSON(b []byte) error {
	*q = QualityStats{}
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] != '{' {
		b = []byte(scalar(b))
	}
	type plain QualityStats
	if len(b) > 0 {
		gently(b, (*plain)(q))
	}
	return nil
}

// StreamStats are the statistics of one media stream. Telnyx sends the
// numbers as strings.
type StreamStats struct {
	JitterMaxVariance Decimal `json:"jitter_max_variance"` // milliseconds
	JitterPacketCount Decimal `json:"jitter_packet_count"`
	MOS               Decimal `json:"mos"` // mean opinion score, 1 to 5
	PacketCount       Decimal `json:"packet_count"`
	SkipPacketCount   Decimal `json:"skip_packet_count"`
}

// CallEnqueuedPayload is the payload of [CallEnqueued].
type CallEnqueuedPayload struct {
	Call
	Queue                string `json:"queue"`                    // its name
	CurrentPosition      Int    `json:"current_position"`         // place in the queue, from 1
	QueueAvgWaitTimeSecs Int    `json:"queue_avg_wait_time_secs"` // how long others waited
}

// CallDequeuedPayload is the payload of [CallDequeued].
type CallDequeuedPayload struct {
	Call
	Queue         string `json:"queue"`          // its name
	QueuePosition Int    `json:"queue_position"` // last place in it
	Reason        string `json:"reason"`         // bridged, bridging-in-process, hangup, leave or timeout
	WaitTimeSecs  Int    `json:"wait_time_secs"` // how long this call waited
}

// CallDTMFReceivedPayload is the payload of [CallDTMFReceived].
type CallDTMFReceivedPayload struct {
	Call
	Digit Text `json:"digit"` // 0 to 9, A to D, * or #
}

// CallGatherEndedPayload is the payload of [CallGatherEnded].
type CallGatherEndedPayload struct {
	Call
	Digits Text   `json:"digits"` // what was pressed
	Status string `json:"status"` // valid, invalid, timeout, call_hangup, cancelled or cancelled_amd
}

// CallSIPInfoReceivedPayload is the payload of [CallSIPInfoReceived]. Telnyx
// documents no payload; these are the fields of the command that causes it.
type CallSIPInfoReceivedPayload struct {
	Call
	ContentType string `json:"content_type"` // MIME type of Body
	Body        string `json:"body"`
}

// CallRefer is the payload of the events of a SIP REFER.
type CallRefer struct {
	Call
	SIPNotifyResponse Int `json:"sip_notify_response"` // SIP status of the transfer: 100 trying, 200 done, …
}

// CallCostPayload is the payload of [CallCost].
type CallCostPayload struct {
	Call
	Status             string         `json:"status"`               // success or error
	TotalCost          Decimal        `json:"total_cost"`           // in the currency of the parts; empty on error
	BilledDurationSecs Decimal        `json:"billed_duration_secs"` // empty on error
	BillingGroupID     string         `json:"billing_group_id"`
	CostParts          List[CostPart] `json:"cost_parts"`
}

// CostPart is one item on the bill of a call.
type CostPart struct {
	CallPart           string  `json:"call_part"` // call-control, call-recording, sip-trunking, …
	Cost               Decimal `json:"cost"`
	Currency           string  `json:"currency"` // ISO 4217, such as "USD"
	Rate               Decimal `json:"rate"`     // for a minute
	BilledDurationSecs Decimal `json:"billed_duration_secs"`
}
