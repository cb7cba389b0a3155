package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// A whole receiver for an existing server.
func Example() {
	keys, err := webhook.ParseKeys(os.Getenv("TELNYX_PUBLIC_KEY"))
	if err != nil {
		log.Print(err)
		return
	}
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		log.Printf("%s wrote %q", m.From.PhoneNumber, m.Text)
		return nil
	})
	verifier := &webhook.Verifier{Keys: keys}
	http.Handle("/webhooks", verifier.Handler(&mux))
}

// A handler that reads the body by itself stays as it is.
func ExampleVerifier_Handler() {
	existing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, _ := webhook.FromContext(r.Context())
		fmt.Println(e.Type, len(body) == len(e.Raw))
	})
	signer := webhooktest.NewSigner() // stands for Telnyx
	verifier := &webhook.Verifier{Keys: signer.Keys()}

	rec := httptest.NewRecorder()
	req := signer.NewRequest("/webhooks", webhooktest.Sample("call.hangup"))
	verifier.Handler(existing).ServeHTTP(rec, req)
	fmt.Println(rec.Code)

	req.Header.Set(webhook.HeaderTimestamp, "1") // somebody tampers
	rec = httptest.NewRecorder()
	verifier.Handler(existing).ServeHTTP(rec, req)
	fmt.Println(rec.Code)
	// Output:
	// call.hangup true
	// 200
	// 401
}

// Another framework: headers and bytes in, event out.
func ExampleVerifier_Verify() {
	signer := webhooktest.NewSigner()
	body := webhooktest.Sample("message.finalized")
	header := http.Header{}
	signer.Sign(header, time.Now(), body)

	verifier := &webhook.Verifier{Keys: signer.Keys()}
	e, err := verifier.Verify(header, body)
	fmt.Println(e.Type, err)

	_, err = verifier.Verify(header, append(body, '\n'))
	fmt.Println(errors.Is(err, webhook.ErrBadSignature))
	// Output:
	// message.finalized <nil>
	// true
}

func ExampleOn() {
	var mux webhook.Mux
	webhook.On(&mux, event.MessageFinalized, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		fmt.Println(m.To[0].PhoneNumber, m.To[0].Status, m.Cost.Amount)
		return nil
	})
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error {
		fmt.Println("something else:", e.Type)
		return nil
	})
	for _, name := range []string{"message.finalized", "call.hangup"} {
		e := webhook.Decode("application/json", webhooktest.Sample(name))
		if err := mux.HandleEvent(context.Background(), e); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// +15550100002 delivered 0.0040
	// something else: call.hangup
}

func ExampleRetryAfter() {
	err := webhook.RetryAfter(errors.New("CRM is in maintenance"), 10*time.Minute)
	outcome, after := webhook.OutcomeOf(err)
	fmt.Println(outcome, after, err)
	// Output: retry 10m0s CRM is in maintenance
}

func ExamplePermanent() {
	err := webhook.Permanent(errors.New("no such customer"))
	outcome, _ := webhook.OutcomeOf(err)
	fmt.Println(outcome, err)
	// Output: dead no such customer
}
