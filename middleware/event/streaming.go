package event

// Events of media streaming over WebSockets and of SIPREC. They belong to
// calls, but their names do not begin with "call.".
var (
	StreamingStarted     = Define[Streaming]("streaming.started")
	StreamingStopped     = Define[Streaming]("streaming.stopped")
	StreamingFailed      = Define[Streaming]("streaming.failed")
	CallStreamingStarted = Define[Streaming]("call.streaming.started") // another spelling; seen, but not documented

	SIPRECStarted = Define[SIPREC]("siprec.started") // the call is copied to a SIPREC server
	SIPRECStopped = Define[SIPREC]("siprec.stopped")
	SIPRECFailed  = Define[SIPREC]("siprec.failed")
)

// Streaming is the payload of the streaming events.
type Streaming struct {
	Call
	StreamURL     string        `json:"stream_url"`     // where the audio goes
	StreamID      string        `json:"stream_id"`      // of a failure
	StreamType    string        `json:"stream_type"`    // of a failure: websocket or dialogflow
	StreamParams  *StreamParams `json:"stream_params"`  // of a failure: what you had asked for
	FailureReason string        `json:"failure_reason"` // such as connection_failed
}

// StreamParams are the settings of a stream.
type StreamParams struct {
	StreamURL string `json:"stream_url"`
	Track     string `json:"track"` // inbound_track, outbound_track or both_tracks
}

// SIPREC is the payload of the SIPREC events.
type SIPREC struct {
	Call
	HangupCause  string `json:"hangup_cause"`  // why it stopped, such as normal_clearing
	FailureCause string `json:"failure_cause"` // why it failed, such as no_answer
}
