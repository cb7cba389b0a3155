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
	signer := webhooktest.NewSigner() // stands in for Telnyx
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

// Somebody asks why webhooks are rejected.
func ExampleVerifier_Explain() {
	signer := webhooktest.NewSigner()
	verifier := &webhook.Verifier{Keys: signer.Keys()}
	header := http.Header{}
	signer.Sign(header, time.Now(), []byte("{\n  \"data\": {}\n}"))

	// A framework parsed the body and printed it again before it was verified.
	x := verifier.Explain(header, []byte(`{"data":{}}`))
	fmt.Println(x.Genuine)
	fmt.Println(x.Cause)
	// Output:
	// false
	// the JSON was printed on one line in transit: something parses and prints it again, verify the bytes as received (then key test matches)
}

// An AI assistant asks for variables and needs them at once.
func ExampleMux_Answer() {
	var mux webhook.Mux
	mux.Answer("assistant.initialization", func(w http.ResponseWriter, r *http.Request, e *webhook.Event) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"dynamic_variables":{"name":"Ada"}}`)
	})
	signer := webhooktest.NewSigner()
	verifier := &webhook.Verifier{Keys: signer.Keys()}
	rec := signer.Send(verifier.Handler(&mux), "assistant.initialization")
	fmt.Println(rec.Code, rec.Body)
	// Output: 200 {"dynamic_variables":{"name":"Ada"}}
}

// Telnyx sends an event a second time.
func ExampleMemoryDedupe() {
	mux := webhook.Mux{Dedupe: new(webhook.MemoryDedupe)}
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error {
		fmt.Println("handled", e.Type)
		return nil
	})
	for range 2 {
		e := webhook.Decode("application/json", webhooktest.Sample("fax.received"))
		fmt.Println(mux.HandleEvent(context.Background(), e))
	}
	// Output:
	// handled fax.received
	// <nil>
	// <nil>
}

// A late "sent" must not overwrite the final status of a message.
func ExampleOrderGuard() {
	var guard webhook.OrderGuard
	at := func(occurredAt string) *webhook.Event {
		body, err := event.Edit(webhooktest.Sample("message.finalized"), "application/json",
			webhooktest.Set("occurred_at", occurredAt))
		if err != nil {
			panic(err)
		}
		return webhook.Decode("application/json", body)
	}
	fmt.Println(guard.InOrder(at("2026-03-04T09:15:27Z")))
	fmt.Println(guard.InOrder(at("2026-03-04T09:15:26Z")))
	// Output:
	// true
	// false
}

// During a rotation Telnyx may sign with either key.
func ExampleParseKeys() {
	ring, err := webhook.ParseKeys("new:eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg=, old:whpk_jrMBoswHlhhVx2W2Www72WU/xn4UMpjreslD0m2u0qs=")
	fmt.Println(ring.Labels(), err)
	_, err = webhook.ParseKeys("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	fmt.Println(err)
	// Output:
	// [new old] <nil>
	// webhook: public key 1 of 1: a point of low order, under which anybody could sign: is the key zero-filled?
}

// A deny handler that counts, and then answers as usual.
func ExampleVerifier_SetDenyHandler() {
	verifier := &webhook.Verifier{Keys: webhooktest.NewSigner().Keys()}
	verifier.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("rejected:", webhook.Denial(r.Context()).Reason)
		webhook.Deny(w, r)
	}))
	rec := webhooktest.NewSigner().Send(verifier.Handler(http.NotFoundHandler()), "call.hangup")
	fmt.Println(rec.Code)
	// Output:
	// rejected: bad_signature
	// 401
}
