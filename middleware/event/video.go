package event

// Events of video rooms. Sources: Telnyx's API specifications of 2022 and 2023
// and the SDK of that time (rooms, room compositions); newer ones have the
// rooms and no longer their events.
var (
	VideoRoomSessionStarted = Define[VideoRoomSession]("video.room.session.started")
	VideoRoomSessionEnded   = Define[VideoRoomSession]("video.room.session.ended")

	VideoRoomParticipantJoined = Define[VideoRoomParticipant]("video.room.participant.joined")
	VideoRoomParticipantLeft   = Define[VideoRoomParticipant]("video.room.participant.left")

	VideoRoomRecordingStarted   = Define[VideoRoomRecording]("video.room.recording.started")
	VideoRoomRecordingCompleted = Define[VideoRoomRecording]("video.room.recording.completed") // can be fetched

	VideoRoomCompositionCompleted = Define[VideoRoomComposition]("video.room.composition.completed") // one source: that SDK
)

// VideoRoomSession is the payload of the events of a room's session, which
// lasts from the first participant to the last.
type VideoRoomSession struct {
	RoomID       string `json:"room_id"`
	SessionID    string `json:"session_id"`
	DurationSecs Int    `json:"duration_secs"` // of one that ended: seconds
	EndedReason  string `json:"ended_reason"`  // of one that ended: a sentence
}

// VideoRoomParticipant is the payload of the events of a participant.
type VideoRoomParticipant struct {
	RoomID        string `json:"room_id"`
	SessionID     string `json:"session_id"`
	ParticipantID string `json:"participant_id"`
	Context       Text   `json:"context"`       // what the participant's client said of itself, often JSON in text
	DurationSecs  Int    `json:"duration_secs"` // of one that left: seconds
	LeftReason    string `json:"left_reason"`   // of one that left: a sentence
}

// VideoRoomRecording is the payload of the events of recordings. There is one
// for each participant and kind of media.
type VideoRoomRecording struct {
	RoomID        string  `json:"room_id"`
	SessionID     string  `json:"session_id"`
	ParticipantID string  `json:"participant_id"`
	RecordingID   string  `json:"recording_id"`
	Type          string  `json:"type"`          // audio or video
	Codec         string  `json:"codec"`         // of a complete one, as all that follow
	DurationSecs  Int     `json:"duration_secs"` // seconds
	SizeMB        Decimal `json:"size_mb"`       // megabytes
	DownloadURL   string  `json:"download_url"`  // valid for a limited time
}

// VideoRoomComposition is the payload of [VideoRoomCompositionCompleted]:
// several recordings in one picture.
type VideoRoomComposition struct {
	CompositionID string  `json:"composition_id"`
	RoomID        string  `json:"room_id"`
	SessionID     string  `json:"session_id"`
	Format        string  `json:"format"`        // mp4
	Resolution    string  `json:"resolution"`    // such as 1280x720
	DurationSecs  Int     `json:"duration_secs"` // seconds
	SizeMB        Decimal `json:"size_mb"`       // megabytes
	DownloadURL   string  `json:"download_url"`  // valid for a limited time
}
