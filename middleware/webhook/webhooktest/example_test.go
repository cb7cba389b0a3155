package webhooktest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// A test of your own handler, from the request to what it did.
func ExampleSigner_Send() {
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		fmt.Println(m.From.PhoneNumber, m.Text)
		return nil
	})
	signer := webhooktest.NewSigner()
	verifier := &webhook.Verifier{Keys: signer.Keys()}

	rec := signer.Send(verifier.Handler(&mux), "message.received",
		webhooktest.Set("payload.text", "hi"),
		webhooktest.Set("payload.from.phone_number", "+15550100077"))
	fmt.Println(rec.Code)
	// Output:
	// +15550100077 hi
	// 200
}

// A server whose routing is to be tested, with a handler that only notes.
func ExampleRecorder() {
	recorder := webhooktest.Recorder{Err: errors.New("not now")}
	var mux webhook.Mux
	mux.Handle("texml.*", recorder.Handle)
	signer := webhooktest.NewSigner()
	handler := (&webhook.Verifier{Keys: signer.Keys()}).Handler(&mux)

	fmt.Println(signer.Send(handler, "texml.call.completed").Code)
	fmt.Println(signer.Send(handler, "call.hangup").Code)
	for _, e := range recorder.Events() {
		fmt.Println(e.Type)
	}
	// Output:
	// 503
	// 200
	// texml.call.completed
}
