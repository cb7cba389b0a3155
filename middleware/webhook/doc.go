// Package webhook receives Telnyx webhooks: it checks the signature and the
// timestamp of each request, decodes the event and calls the handler for its
// type. It works with any net/http server and imports the standard library
// only.
//
// Start with three names:
//
//   - [Verifier] wraps an http.Handler and lets only genuine webhooks pass,
//   - [On] registers a typed handler for an event type on a [Mux],
//   - [Event] is what every handler receives.
//
// A whole receiver:
//
//	keys, err := webhook.ParseKeys(os.Getenv("TELNYX_PUBLIC_KEY"))
//	if err != nil {
//		log.Fatal(err)
//	}
//	var mux webhook.Mux
//	webhook.On(&mux, event.MessageReceived,
//		func(ctx context.Context, e *webhook.Event, m *event.Message) error {
//			log.Printf("%s wrote %q", m.From.PhoneNumber, m.Text)
//			return nil
//		})
//	verifier := &webhook.Verifier{Keys: keys}
//	http.Handle("/webhooks", verifier.Handler(&mux))
//
// An existing handler can stay as it is: behind Verifier.Handler it finds the
// body unread, and the event in [FromContext].
//
// # What a handler returns
//
// nil means done. [Permanent] means that trying again cannot help,
// [RetryAfter] asks for another try after a while, and any other error, a
// panic included, asks for a retry by policy. The same handler runs
// in-process, in a plugin and behind the sidecar; only who retries differs.
//
// # What is promised
//
// No event reaches a handler unless its signature matched one of the
// configured keys and its timestamp was within the tolerance. A Verifier
// without keys rejects everything. Verified bytes are never refused for their
// shape: a type or an envelope that this package does not know reaches the
// catch-all handler with [Event.Raw], exactly the bytes that were signed.
package webhook
