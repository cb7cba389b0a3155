// Command chi receives Telnyx webhooks in a server that uses chi.
//
//	TELNYX_PUBLIC_KEY=… go run ./chi
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"

	"github.com/hookswitch/hookswitch/examples/routers"
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
	verifier := &webhook.Verifier{Keys: keys}
	webhooks := verifier.Handler(routers.Handlers())

	r := chi.NewRouter()
	r.Get("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("hello\n")) })
	r.Method(http.MethodPost, "/webhooks", webhooks)
	return r, nil
}
