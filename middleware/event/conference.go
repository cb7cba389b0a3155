package event

// Conference events. Real deliveries of conference.floor.changed have no
// "data" object.
var (
	ConferenceCreated                    = Define[Conference]("conference.created")
	ConferenceEnded                      = Define[Conference]("conference.ended")
	ConferenceFloorChanged               = Define[Conference]("conference.floor.changed") // somebody else speaks now
	ConferenceParticipantJoined          = Define[Conference]("conference.participant.joined")
	ConferenceParticipantLeft            = Define[Conference]("conference.participant.left")
	ConferenceParticipantPlaybackStarted = Define[Conference]("conference.participant.playback.started") // heard by one participant
	ConferenceParticipantPlaybackEnded   = Define[Conference]("conference.participant.playback.ended")
	ConferenceParticipantSpeakStarted    = Define[Conference]("conference.participant.speak.started")
	ConferenceParticipantSpeakEnded      = Define[Conference]("conference.participant.speak.ended")
	ConferencePlaybackStarted            = Define[Conference]("conference.playback.started") // heard by all
	ConferencePlaybackEnded              = Define[Conference]("conference.playback.ended")
	ConferenceSpeakStarted               = Define[Conference]("conference.speak.started")
	ConferenceSpeakEnded                 = Define[Conference]("conference.speak.ended")
	ConferenceRecordingSaved             = Define[ConferenceRecordingSavedPayload]("conference.recording.saved")
)

// Conference is the payload of the conference events. Those about a
// participant name their leg; playback and speech for all do not.
type Conference struct {
	ConferenceID         string      `json:"conference_id"`           // names the conference in commands
	CallControlID        string      `json:"call_control_id"`         // names the participant's leg in commands
	CallLegID            string      `json:"call_leg_id"`             // of the participant
	CallSessionID        string      `json:"call_session_id"`         // of the participant
	CreatorCallSessionID string      `json:"creator_call_session_id"` // of the creator of the conference
	ConnectionID         Text        `json:"connection_id"`           // a long string of digits
	ClientState          ClientState `json:"client_state"`            // what you attached
	OccurredAt           Time        `json:"occurred_at"`
	MediaURL             string      `json:"media_url"`  // what is played
	MediaName            string      `json:"media_name"` // or its name in Telnyx's media storage
	Reason               string      `json:"reason"`     // of an end: all_left, host_left or time_exceeded
}

// ConferenceRecordingSavedPayload is the payload of [ConferenceRecordingSaved].
type ConferenceRecordingSavedPayload struct {
	Conference
	RecordingID         string        `json:"recording_id"`
	Channels            string        `json:"channels"` // single or dual
	Format              string        `json:"format"`   // wav or mp3
	RecordingStartedAt  Time          `json:"recording_started_at"`
	RecordingEndedAt    Time          `json:"recording_ended_at"`
	RecordingURLs       RecordingURLs `json:"recording_urls"`        // valid for ten minutes
	PublicRecordingURLs RecordingURLs `json:"public_recording_urls"` // need no signature, if you asked for that
}
