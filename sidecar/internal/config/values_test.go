package config

import (
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func TestOrderByFindsTheEntity(t *testing.T) {
	const call = `{"data":{"event_type":"call.hangup","payload":{"call_leg_id":"leg","call_session_id":"session","client":{"n":7}}}}`
	for _, tt := range []struct{ by, body, want string }{
		{"entity", call, "call:leg"},
		{"payload.call_session_id", call, "session"},
		{"data.payload.call_session_id", call, "session"},
		{"payload.client.n", call, "7"},
		{"payload.client", call, ""},
		{"payload.missing", call, ""},
		{"payload.missing.deeper", call, ""},
		{"payload.call_session_id", `{"payload":{"call_session_id":"flat"}}`, "flat"},
		{"payload.call_session_id", `not json`, ""},
		{"payload.call_session_id", `{"data":{"payload":{"call_session_id":null}}}`, ""},
	} {
		e := webhook.Decode("application/json", []byte(tt.body))
		if got := OrderBy(tt.by).Entity()(e); got != tt.want {
			t.Errorf("%s of %s is %q, want %q", tt.by, tt.body, got, tt.want)
		}
	}
	if OrderBy("none").Entity() != nil {
		t.Error("without an order each event is searched for its entity")
	}
}
