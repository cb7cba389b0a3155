// Command nethttp is an existing server that receives Telnyx webhooks: the
// lines that hookswitch adds are in newHandler.
//
//	export TELNYX_PUBLIC_KEY=…       # Mission Control, Keys & Credentials, Public Key
//	go run ./examples/nethttp
package main

import (
	"context"
	"log"
	"net/http"
	"os"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func main() {
	handler, err := newHandler(os.Getenv("TELNYX_PUBLIC_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	log.Print("webhooks: http://localhost:5000/webhooks")
	log.Fatal(http.ListenAndServe("localhost:5000", handler))
}

func newHandler(publicKey string) (http.Handler, error) {
	keys, err := webhook.ParseKeys(publicKey)
	if err != nil {
		return nil, err
	}
	var mux webhook.Mux
	webhook.On(&mux, event.MessageReceived, func(ctx context.Context, e *webhook.Event, m *event.Message) error {
		log.Printf("message %s: %d characters", m.ID, len(m.Text))
		return nil
	})
	mux.Handle("*", func(ctx context.Context, e *webhook.Event) error {
		log.Printf("event %s: %s", e.ID, e.Type)
		return nil
	})
	verifier := &webhook.Verifier{Keys: keys}

	server := http.NewServeMux()
	server.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { // what was there before
		_, _ = w.Write([]byte("hello\n"))
	})
	server.Handle("POST /webhooks", verifier.Handler(&mux))
	return server, nil
}
