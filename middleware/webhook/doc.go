// Package webhook receives Telnyx webhooks: it checks the signature and the
// timestamp of each request, decodes the event and calls the handler for its
// type. It works with any net/http server and imports only the standard
// library.
//
// Start with three names:
//
//   - [Verifier] wraps an http.Handler and lets only genuine webhooks pass,
//   - [On] registers a typed handler for an event type on a [Mux],
//   - [Event] is passed to every handler.
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
// What goes wrong is logged to [slog.Default], each once, and ten lines a
// second of a kind at most: rejected requests, errors and panics of handlers, a Dedupe that fails.
// Set [Verifier.Log] and [Mux.Log], or [Verifier.SetDenyHandler] and
// [Mux.OnError], to hear of it in another way.
//
// # What is promised
//
// No event reaches a handler unless its signature matched one of the
// configured keys and its timestamp was within the tolerance. A Verifier
// without keys rejects everything. Verified bytes are never refused for their
// shape: a type or an envelope that this package does not know reaches the
// catch-all handler with [Event.Raw], exactly the bytes that were signed.
//
// Telnyx may deliver an event more than once, out of order, and at the same
// time: [Mux.Dedupe] and [OrderGuard] help. When a signature does not match,
// [Verifier.Explain] says what happened to the request in transit.
//
// # What it costs
//
// Process CPU time of a whole event, in units of the bare ed25519.Verify of
// the same bytes (B); medians of interleaved rounds on two shared cores, by
//
//	go test -run '^$' -bench 'Ratios|Accept|Reject|Stalled|Dedupe' ./middleware/webhook
//
//	                                         documented event    20 kB
//	wrap any handler, verify, envelope       1.05-1.06 B         1.25 B
//	with the typed payload                   1.14 B              1.6 B
//	envelope, with package fastverify        0.42-0.44 B
//	envelope, against the official Go SDK    0.37                0.07
//	typed, against the official Go SDK       0.39                0.09
//
// The SDK's cost was recorded elsewhere (telnyx-go v4.97.0: read and unwrap,
// 2.90 and 18.4 B), because its module was not available for this measurement.
// An accepted event takes 4 allocations, 7 more with the typed payload of the
// documented one; a request that is rejected by its
// headers none and about 0.1 µs. A thousand senders that announce 1 MiB and
// stall take 10 MiB more and are all cut off. A million events in a
// [MemoryDedupe] take 34 bytes each, a claim 0.2 to 0.5 µs.
package webhook
