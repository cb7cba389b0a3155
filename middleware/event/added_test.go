package event_test

import (
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
)

// TestREADMECounts: the number of event types in the README is that of the
// samples, of which every name has one.
func TestREADMECounts(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(\d+) event types are modelled`).FindAllSubmatch(text, -1)
	if len(found) != 1 || string(found[0][1]) != strconv.Itoa(len(event.Samples())) {
		t.Errorf("the README says %q, and there are %d", found, len(event.Samples()))
	}
	meetings := slices.DeleteFunc(event.Catalog(), func(i event.Info) bool { return i.Signature != event.SignedHMAC })
	if len(meetings) != 5 || !strings.Contains(string(text), "the five of meetings") {
		t.Errorf("%d cannot be received, and the README says something else", len(meetings))
	}
}

// typed decodes the payload of a sample.
func typed[P any](t *testing.T, name event.Name[P]) P {
	t.Helper()
	body, _ := event.Sample(name.String())
	var p P
	if err := event.Decode(payloadIn(t, event.SampleContentType(name.String()), body), &p); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return p
}

func equal(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestRooms compares whole payloads of the events of rooms.
func TestRooms(t *testing.T) {
	started := typed(t, event.VideoRoomSessionStarted)
	if started.RoomID == "" || started.SessionID == "" || started.DurationSecs != 0 {
		t.Errorf("%+v", started)
	}
	equal(t, typed(t, event.VideoRoomSessionEnded), event.VideoRoomSession{RoomID: started.RoomID, SessionID: started.SessionID,
		DurationSecs: 1804, EndedReason: "The last participant left."})
	joined := typed(t, event.VideoRoomParticipantJoined)
	equal(t, joined, event.VideoRoomParticipant{RoomID: started.RoomID, SessionID: started.SessionID, ParticipantID: joined.ParticipantID, Context: `{"username":"chef"}`})
	equal(t, typed(t, event.VideoRoomParticipantLeft), event.VideoRoomParticipant{RoomID: started.RoomID, SessionID: started.SessionID,
		ParticipantID: joined.ParticipantID, Context: joined.Context, DurationSecs: 1790, LeftReason: "The participant left the room."})
	recording := typed(t, event.VideoRoomRecordingStarted)
	if recording.Type != "video" || recording.RecordingID == "" || recording.SizeMB != "" {
		t.Errorf("%+v", recording)
	}
	recording.Codec, recording.DurationSecs, recording.SizeMB, recording.DownloadURL = "vp8", 1788, "86.4", "https://media.example.com/rooms/7.webm"
	equal(t, typed(t, event.VideoRoomRecordingCompleted), recording)
	composition := typed(t, event.VideoRoomCompositionCompleted)
	equal(t, composition, event.VideoRoomComposition{CompositionID: composition.CompositionID, RoomID: started.RoomID, SessionID: started.SessionID,
		Format: "mp4", Resolution: "1280x720", DurationSecs: 1788, SizeMB: "102.5", DownloadURL: "https://media.example.com/rooms/7.mp4"})
}

func TestReputation(t *testing.T) {
	at := func(day, hour, minute, second int) time.Time {
		return time.Date(2026, 3, day, hour, minute, second, 0, time.UTC)
	}
	flagged, removed := typed(t, event.NumberReputationNumberFlagged), typed(t, event.NumberReputationNumberRemoved)
	if !flagged.ConfirmBy.Equal(at(7, 13, 0, 0)) || flagged.FlagReason != "carrier_changed" || flagged.OwnershipStatus != "pending_confirmation" || !flagged.RemovedAt.IsZero() {
		t.Errorf("%+v", flagged)
	}
	if !removed.RemovedAt.Equal(at(8, 13, 0, 3)) || removed.RemovalReason != "unconfirmed_ownership" || removed.OwnershipStatus != "removed" || removed.PhoneNumber != "+15550100042" {
		t.Errorf("%+v", removed)
	}
	reviewed := typed(t, event.NumberReputationExternalVerificationStatusChanged)
	if reviewed.Status != "rejected" || reviewed.RejectionReason != "The invoice is older than a year." || !reviewed.ReviewedAt.Equal(at(5, 14, 3, 10)) || reviewed.EnterpriseID != removed.EnterpriseID {
		t.Errorf("%+v", reviewed)
	}
	var approved event.ReputationVerification
	if err := event.Decode([]byte(`{"status":"approved","rejection_reason":null}`), &approved); err != nil || approved.Status != "approved" {
		t.Errorf("%+v, %v", approved, err)
	}
}

func TestConversationAndVoicemail(t *testing.T) {
	created := typed(t, event.CallConversationCreated)
	if created.ConversationID == "" || created.CallingPartyType != "pstn" || created.ConnectionID != "1684641123236054244" {
		t.Errorf("%+v", created)
	}
	voicemail := typed(t, event.CallsVoicemailCompleted)
	equal(t, voicemail, event.CallsVoicemailCompletedPayload{CallSessionID: created.CallSessionID, ConnectionID: created.ConnectionID,
		From: created.From, To: created.To, RecordingURL: "https://media.example.com/voicemail/7.mp3"})
	var order event.NumberOrderCompletePayload
	if err := event.Decode([]byte(`{"sub_number_order_ids":["a","b"]}`), &order); err != nil || len(order.SubNumberOrderIDs) != 2 {
		t.Errorf("%+v, %v", order, err)
	}
}

func TestTeXMLAnswers(t *testing.T) {
	gather := typed(t, event.TeXMLGather)
	if gather.Digits != "1" || gather.SpeechResult != "the kitchen, please" || gather.Confidence.Float64() != 0.95 || gather.From != "+15550100002" {
		t.Errorf("%+v", gather)
	}
	ai := typed(t, event.TeXMLAIGather)
	var result struct {
		Status string
		Result struct{ Guests int }
	}
	if err := ai.Result.DecodeJSON(&result); err != nil || ai.Status != "valid" || result.Result.Guests != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	var history []event.AIMessage
	if err := ai.MessageHistory.DecodeJSON(&history); err != nil || len(history) != 1 || history[0].Role != "user" {
		t.Errorf("%+v, %v", history, err)
	}
	for _, bad := range []event.Base64{"%", "e30", "e30x"} {
		if err := bad.DecodeJSON(&result); err == nil || !strings.HasPrefix(err.Error(), "event: decode base64") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	request := typed(t, event.TeXMLHTTPRequest)
	equal(t, request.Mapped, map[string]string{"table": "7", "waiter": "Marlow"})
	if request.CallerID != "EXAMPLE CALLER" || request.To != "+15550100001" {
		t.Errorf("%+v", request)
	}
	again, err := json.Marshal(request)
	var back event.TeXMLHTTPRequestPayload
	if err != nil || json.Unmarshal(again, &back) != nil || !reflect.DeepEqual(back, request) {
		t.Errorf("%s, %v", again, err)
	}
	for _, name := range []event.Name[event.TeXMLConference]{event.TeXMLParticipantSpeechStart, event.TeXMLParticipantSpeechStop} {
		if speaker := typed(t, name); "texml."+speaker.StatusCallbackEvent != name.String() || speaker.ParticipantLabel != "chef" {
			t.Errorf("%+v", speaker)
		}
	}
	completed := typed(t, event.TeXMLCallCompleted)
	if completed.SIPHangupCause != "200" || completed.UserID == "" || completed.RecordingURL == "" || completed.StartTime.IsZero() {
		t.Errorf("%+v", completed)
	}
}
