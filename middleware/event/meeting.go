package event

// Events of meeting sessions. Their envelope and their signature are not those
// of the other products; the payload is the member "data". No Verifier accepts
// them yet: see [SignedHMAC].
var (
	SessionStatusChanged = Define[SessionStatusChangedPayload]("session.status_changed")
	RecordingAvailable   = Define[RecordingAvailablePayload]("recording.available")
	TranscriptCompleted  = Define[TranscriptCompletedPayload]("transcript.completed")
	ArtifactCompleted    = Define[Artifact]("artifact.completed") // a summary or the like was written
	ArtifactFailed       = Define[Artifact]("artifact.failed")
)

// SessionStatusChangedPayload is the payload of [SessionStatusChanged].
type SessionStatusChangedPayload struct {
	SessionID    string `json:"session_id"` // begins with mtgsess_
	Status       string `json:"status"`
	StatusDetail string `json:"status_detail"`
	Recording    bool   `json:"recording"` // the session is being recorded
}

// RecordingAvailablePayload is the payload of [RecordingAvailable].
type RecordingAvailablePayload struct {
	SessionID      string       `json:"session_id"`
	RecordingTypes List[string] `json:"recording_types"` // such as video_mixed
}

// TranscriptCompletedPayload is the payload of [TranscriptCompleted].
type TranscriptCompletedPayload struct {
	SessionID    string  `json:"session_id"`
	EndedAt      Time    `json:"ended_at"`
	LastSeq      Decimal `json:"last_seq"`      // number of the last segment; empty if there is none
	SegmentCount Int     `json:"segment_count"` // how many there are
}

// Artifact is the payload of the artifact events.
type Artifact struct {
	SessionID  string `json:"session_id"`
	ArtifactID string `json:"artifact_id"` // begins with mtgart_
	Type       string `json:"type"`        // summary, action_items, decisions, topics, open_questions or custom
	Prompt     string `json:"prompt"`      // of a custom one
	Content    struct {
		Text string `json:"text"`
	} `json:"content"`
	ModelProvenance struct {
		Model    string `json:"model"`
		Provider string `json:"provider"`
	} `json:"model_provenance"` // who wrote it
}
