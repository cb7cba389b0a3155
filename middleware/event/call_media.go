package event

// Call control events about what is heard: speech, playback, recordings,
// transcriptions, copies of the audio, and answering machines.
var (
	CallSpeakStarted    = Define[Speak]("call.speak.started")       // text-to-speech begins
	CallSpeakEnded      = Define[Speak]("call.speak.ended")         // and ends
	CallPlaybackStarted = Define[Playback]("call.playback.started") // an audio file begins
	CallPlaybackEnded   = Define[Playback]("call.playback.ended")   // and ends

	CallRecordingSaved              = Define[CallRecordingSavedPayload]("call.recording.saved")                            // a recording can be fetched
	CallRecordingError              = Define[CallRecordingErrorPayload]("call.recording.error")                            // it could not be stored
	CallRecordingTranscriptionSaved = Define[CallRecordingTranscriptionSavedPayload]("call.recording.transcription.saved") // its text is ready
	CallTranscription               = Define[CallTranscriptionPayload]("call.transcription")                               // what is being said, while it is

	CallForkStarted = Define[Fork]("call.fork.started") // the audio is copied to an address of yours
	CallForkStopped = Define[Fork]("call.fork.stopped") // no longer

	CallMachineDetectionEnded        = Define[MachineDetection]("call.machine.detection.ended")         // a human or a machine answered
	CallMachineGreetingEnded         = Define[MachineDetection]("call.machine.greeting.ended")          // leave your message now
	CallMachinePremiumDetectionEnded = Define[MachineDetection]("call.machine.premium.detection.ended") // the same by premium detection
	CallMachinePremiumGreetingEnded  = Define[MachineDetection]("call.machine.premium.greeting.ended")

	CallDeepfakeDetectionResult = Define[CallDeepfakeDetectionResultPayload]("call.deepfake_detection.result") // is the voice real
	CallDeepfakeDetectionError  = Define[CallDeepfakeDetectionErrorPayload]("call.deepfake_detection.error")   // nobody can say
)

// Speak is the payload of the text-to-speech events.
type Speak struct {
	Call
	SpeakID string `json:"speak_id"` // of the command; not documented
	Status  string `json:"status"`   // of an end: completed, call_hangup or cancelled_amd
}

// Playback is the payload of the events of audio files.
type Playback struct {
	Call
	MediaURL     string `json:"media_url"`     // what is played
	MediaName    string `json:"media_name"`    // or its name in Telnyx's media storage
	Overlay      bool   `json:"overlay"`       // played over the conversation
	Status       string `json:"status"`        // of an end: completed, failed, file_not_found, call_hangup, cancelled, cancelled_amd or unknown
	StatusDetail string `json:"status_detail"` // why it failed
}

// CallRecordingSavedPayload is the payload of [CallRecordingSaved].
type CallRecordingSavedPayload struct {
	Call
	RecordingID             string        `json:"recording_id"`
	Channels                string        `json:"channels"` // single or dual
	Format                  string        `json:"format"`   // wav or mp3
	RecordingStartedAt      Time          `json:"recording_started_at"`
	RecordingEndedAt        Time          `json:"recording_ended_at"`
	EndTime                 Time          `json:"end_time"` // the same in API v1
	RecordingDurationMillis Int           `json:"recording_duration_millis"`
	RecordingURLs           RecordingURLs `json:"recording_urls"`        // valid for ten minutes
	PublicRecordingURLs     RecordingURLs `json:"public_recording_urls"` // need no signature, if you asked for that
}

// RecordingURLs are the addresses of a recording by format; only one is set.
type RecordingURLs struct {
	MP3 string `json:"mp3"`
	WAV string `json:"wav"`
}

// CallRecordingErrorPayload is the payload of [CallRecordingError].
type CallRecordingErrorPayload struct {
	Call
	Reason string `json:"reason"` // a sentence, such as "Invalid credentials json"
}

// CallRecordingTranscriptionSavedPayload is the payload of
// [CallRecordingTranscriptionSaved].
type CallRecordingTranscriptionSavedPayload struct {
	Call
	RecordingID              string `json:"recording_id"`
	RecordingTranscriptionID string `json:"recording_transcription_id"`
	Status                   string `json:"status"` // completed
	TranscriptionText        string `json:"transcription_text"`
}

// CallTranscriptionPayload is the payload of [CallTranscription].
type CallTranscriptionPayload struct {
	Call
	TranscriptionData struct {
		Transcript         string  `json:"transcript"`
		Confidence         Decimal `json:"confidence"`          // 0 to 1, empty if unknown
		IsFinal            bool    `json:"is_final"`            // false while the engine may still change its mind
		TranscriptionTrack string  `json:"transcription_track"` // who speaks: inbound or outbound
	} `json:"transcription_data"`
}

// Fork is the payload of the events of media forking.
type Fork struct {
	Call
	StreamType string `json:"stream_type"` // decrypted
}

// MachineDetection is the payload of the answering machine events.
type MachineDetection struct {
	Call
	// Result of a detection: human, machine or not_sure, and of a premium
	// one machine, not_sure, human_residence, human_business, silence or
	// fax_detected. Of a greeting: beep_detected, ended or not_sure, and of
	// a premium one beep_detected or no_beep_detected.
	Result string `json:"result"`
}

// CallDeepfakeDetectionResultPayload is the payload of
// [CallDeepfakeDetectionResult].
type CallDeepfakeDetectionResultPayload struct {
	Call
	Result      string  `json:"result"`      // real, fake or silence_timeout
	Score       Decimal `json:"score"`       // 0 to 1, higher is more likely fake; empty without a verdict
	Consistency Decimal `json:"consistency"` // how far parts of the audio agree, in percent; empty without a verdict
}

// CallDeepfakeDetectionErrorPayload is the payload of
// [CallDeepfakeDetectionError].
type CallDeepfakeDetectionErrorPayload struct {
	Call
	ErrorMessage string `json:"error_message"` // detection_timeout, rtp_timeout, dfd_connection_error or dfd_stream_error
}
