//go:build unix

package fastverify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/internal/testkit/ratio"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/fastverify"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// BenchmarkRatios reports the CPU time of the bare check, and of a whole event
// through webhook.Verifier's Handler, in units of ed25519.Verify of the same
// bytes ("B"), on Telnyx's documented deliveryUpdate event, compacted. Each check
// is of another signature, as in life, since the entries that one needs would
// stay in the processor's nearest cache.
func BenchmarkRatios(b *testing.B) {
	const signatures = 256
	signer := webhooktest.NewSigner()
	fast, err := fastverify.New(signer.Keys().Keys()...)
	if err != nil {
		b.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, webhooktest.Sample("message.sent")); err != nil {
		b.Fatal(err)
	}
	var messages, sigs [signatures][]byte
	var requests [signatures]*replay
	for i := range signatures {
		body := slices.Clone(compact.Bytes())
		for bit := range 8 { // white space, which makes each body another one
			body = append(body, " \n"[i>>bit&1])
		}
		requests[i] = &replay{request: signer.NewRequest("/webhooks", body), body: body}
		timestamp, text := webhook.Sign(signer.PrivateKey(), time.Now(), body)
		messages[i] = append([]byte(timestamp+"|"), body...)
		if sigs[i], err = base64.StdEncoding.DecodeString(text); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	check := func(verify func(ed25519.PublicKey, []byte, []byte) bool) func() {
		public := signer.Public()
		return func() {
			if n++; !verify(public, messages[n%signatures], sigs[n%signatures]) {
				panic("invalid")
			}
		}
	}
	accepted := 0
	event := func(verify func(ed25519.PublicKey, []byte, []byte) bool) func() {
		v := &webhook.Verifier{Keys: signer.Keys(), Tolerance: 24 * time.Hour, VerifyFunc: verify}
		handler := v.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { accepted++ }))
		return func() {
			n++
			handler.ServeHTTP(nullWriter{}, requests[n%signatures].again())
		}
	}
	ratios := ratio.Medians(b.N,
		check(ed25519.Verify), check(fast.Verify), event(nil), event(fast.Verify), event(fast.Shadow(nil)))
	if accepted == 0 || accepted%3 != 0 {
		b.Fatalf("%d events were accepted", accepted)
	}
	b.ReportMetric(ratios[1], "check/B")
	b.ReportMetric(ratios[3], "event/B")
	b.ReportMetric(ratios[2], "standard-event/B")
	b.ReportMetric(ratios[4], "shadow-event/B")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkNew reports what the table of one more key costs.
func BenchmarkNew(b *testing.B) {
	keys := webhooktest.NewSigner().Keys().Keys()
	b.ReportAllocs()
	for range b.N {
		if _, err := fastverify.New(keys...); err != nil {
			b.Fatal(err)
		}
	}
}

// replay is a signed request that can be served again and again.
type replay struct {
	request *http.Request
	body    []byte
	rest    bytes.Reader
}

func (r *replay) again() *http.Request {
	r.rest.Reset(r.body)
	r.request.Body, r.request.ContentLength = r, int64(len(r.body))
	return r.request
}

func (r *replay) Read(p []byte) (int, error) { return r.rest.Read(p) }
func (r *replay) Close() error               { return nil }

type nullWriter struct{}

func (nullWriter) Header() http.Header         { return http.Header{} }
func (nullWriter) Write(p []byte) (int, error) { return len(p), nil }
func (nullWriter) WriteHeader(status int)      { panic(status) }
