// Package main is a help desk that takes calls and messages from Telnyx.
package main

import (
	"encoding/json"
	"net/http"
	"slices"
)

const (
	eventReceived  = "message.received"
	EventFinalized = "message.finalized"
	EventFailed    = "message.failed" // WRONG message.finalized
)

// handlers are by event type; "message.delivered" is not one.
var handlers = map[string]func(json.RawMessage){
	"call.initiated": answer,
	"call.hangup":    hangUp,
	"fax.sent":       nil, // WRONG fax.delivered
}

type envelope struct {
	Data struct {
		EventType string          `json:"event_type"`
		Payload   json.RawMessage `json:"payload"`
	} `json:"data"`
}

func webhook(w http.ResponseWriter, r *http.Request) {
	var e envelope
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		http.Error(w, "message.failed", http.StatusBadRequest)
		return
	}
	switch e.Data.EventType {
	case eventReceived, "message.sent":
		reply(e.Data.Payload)
	case "message.delivered": // WRONG message.finalized
		close(e.Data.Payload)
	case "message.finalised": // WRONG message.finalized
	case "call_answered": // WRONG call.answered
	case "call.speak.ended":
	}
	if slices.Contains([]string{"email.bounced", "email.expired"}, e.Data.EventType) { // WRONG email.bounced
		return
	}
	if e.Data.EventType != "call.dtmf.received" && e.Data.EventType == "message.failed" { // hookswitch:ignore: an old recorder sends it
		return
	}
	metrics.Inc("message.delivered")
	publish(e.Data.Payload, "ticket.updated")
	if h := handlers[e.Data.EventType]; h != nil {
		h(e.Data.Payload)
	}
}

// ticket is one of ours, whose type looks like a version 1 name.
func ticket(kind string) bool {
	return kind == "call_back" || kind == "call_center"
}
