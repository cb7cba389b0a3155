package event

// Call control events (Telnyx API v2, call control webhooks).
var (
	CallInitiated = Define[CallInitiatedPayload]("call.initiated") // a call comes in, or one you dialled begins
	CallAnswered  = Define[CallAnsweredPayload]("call.answered")   // somebody picked up
	CallHangup    = Define[CallHangupPayload]("call.hangup")       // the call is over
)

// Call holds what the payloads of call control events have in common. Fields
// that Telnyx sent as null, or not at all, have their zero value.
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
}

// SIPHeader is one header of a SIP request.
type SIPHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CallInitiatedPayload is the payload of call.initiated.
type CallInitiatedPayload struct {
	Call
	Direction             string `json:"direction"`               // "incoming" or "outgoing"
	CallerIDName          string `json:"caller_id_name"`          // CNAM, if looked up
	CallScreeningResult   string `json:"call_screening_result"`   // of the inbound call screening
	ConnectionCodecs      string `json:"connection_codecs"`       // comma-separated, as allowed by the connection
	OfferedCodecs         string `json:"offered_codecs"`          // comma-separated, as offered by the caller
	ShakenStirAttestation string `json:"shaken_stir_attestation"` // A, B or C
	ShakenStirValidated   bool   `json:"shaken_stir_validated"`   // the attestation was checked
}

// CallAnsweredPayload is the payload of call.answered.
type CallAnsweredPayload struct {
	Call
}

// CallHangupPayload is the payload of call.hangup.
type CallHangupPayload struct {
	Call
	EndTime        Time          `json:"end_time"`
	HangupCause    string        `json:"hangup_cause"`       // normal_clearing, user_busy, no_answer, call_rejected, timeout, …
	HangupSource   string        `json:"hangup_source"`      // caller, callee or unknown
	SIPHangupCause Text          `json:"sip_hangup_cause"`   // SIP response code or Q.850 cause
	QualityStats   *QualityStats `json:"call_quality_stats"` // nil if not measured
}

// QualityStats are the media statistics of a call, by direction.
type QualityStats struct {
	Inbound  StreamStats `json:"inbound"`
	Outbound StreamStats `json:"outbound"`
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
