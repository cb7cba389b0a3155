package fastverify_test

import (
	"fmt"
	"log"
	"net/http"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/fastverify"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// A receiver whose keys are replaced while it runs.
func ExampleNew() {
	signer := webhooktest.NewSigner()
	keys := signer.Keys() // webhook.ParseKeys in a real server
	fast, err := fastverify.New(keys.Keys()...)
	if err != nil {
		log.Fatal(err)
	}
	verifier := &webhook.Verifier{Keys: keys, VerifyFunc: fast.Verify}
	handler := verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	fmt.Println(signer.Send(handler, "message.received").Code)

	next := webhooktest.NewSigner()
	if err := fast.Replace(next.Keys().Keys()...); err != nil {
		log.Fatal(err)
	}
	if err := keys.Replace(next.Keys().Keys()...); err != nil {
		log.Fatal(err)
	}
	fmt.Println(signer.Send(handler, "message.received").Code, next.Send(handler, "message.received").Code)
	// Output:
	// 200
	// 401 200
}

// Before anything depends on it: the standard library decides, and a difference
// would be reported.
func ExampleVerifier_Shadow() {
	signer := webhooktest.NewSigner()
	fast, err := fastverify.New(signer.Keys().Keys()...)
	if err != nil {
		log.Fatal(err)
	}
	verifier := &webhook.Verifier{
		Keys: signer.Keys(),
		VerifyFunc: fast.Shadow(func(d fastverify.Difference) {
			log.Printf("verdicts differ: key %x message %x signature %x", d.Public, d.Message, d.Signature)
		}),
	}
	handler := verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	fmt.Println(signer.Send(handler, "message.received").Code)
	// Output: 200
}
