package webhook_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/event"
	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// replay is a signed request that can be served again and again.
type replay struct {
	req  *http.Request
	body []byte
	rd   bytes.Reader
}

func newReplay(signer *webhooktest.Signer, body []byte) *replay {
	r := &replay{req: signer.NewRequest("/webhooks", body), body: body}
	return r
}

func (r *replay) again() *http.Request {
	r.rd.Reset(r.body)
	r.req.Body = r
	r.req.ContentLength = int64(len(r.body))
	return r.req
}

func (r *replay) Read(p []byte) (int, error) { return r.rd.Read(p) }
func (r *replay) Close() error               { return nil }

func compactSample(b *testing.B, name string) []byte {
	var out bytes.Buffer
	if err := json.Compact(&out, webhooktest.Sample(name)); err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}

// BenchmarkAccept compares a whole accepted event with the signature check
// alone, on Telnyx's documented deliveryUpdate event, compacted.
func BenchmarkAccept(b *testing.B) {
	signer := webhooktest.NewSigner()
	body := compactSample(b, "message.sent")
	r := newReplay(signer, body)
	v := &webhook.Verifier{Keys: signer.Keys(), Tolerance: 24 * time.Hour}

	b.Run("bare ed25519.Verify", func(b *testing.B) {
		timestamp, text := webhook.Sign(signer.PrivateKey(), time.Now(), body)
		message := append([]byte(timestamp+"|"), body...)
		sig := decodeBase64(b, text)
		public := signer.Public()
		b.ReportAllocs()
		for range b.N {
			if !ed25519.Verify(public, message, sig) {
				b.Fatal("invalid")
			}
		}
	})
	b.Run("Handler, envelope", func(b *testing.B) {
		h := v.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
		serve(b, h, r)
	})
	b.Run("Handler, typed payload", func(b *testing.B) {
		var mux webhook.Mux
		webhook.On(&mux, event.MessageSent, func(context.Context, *webhook.Event, *event.Message) error { return nil })
		serve(b, v.Handler(&mux), r)
	})
	b.Run("decode only", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			webhook.Decode("application/json", body)
		}
	})
}

type nullWriter struct{ h http.Header }

func (w nullWriter) Header() http.Header           { return w.h }
func (nullWriter) Write(b []byte) (int, error)     { return len(b), nil }
func (nullWriter) WriteHeader(int)                 {}
func (nullWriter) SetReadDeadline(time.Time) error { return nil }

func serve(b *testing.B, h http.Handler, r *replay) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r.again())
	if rec.Code != 200 {
		b.Fatalf("%d %s", rec.Code, rec.Body)
	}
	w := nullWriter{http.Header{}}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		h.ServeHTTP(w, r.again())
	}
}

// BenchmarkReject measures the cost of junk.
func BenchmarkReject(b *testing.B) {
	signer := webhooktest.NewSigner()
	v := &webhook.Verifier{Keys: signer.Keys()}
	for name, change := range map[string]func(http.Header){
		"no signature": func(h http.Header) { h.Del(webhook.HeaderSignature) },
		"stale":        func(h http.Header) { h.Set(webhook.HeaderTimestamp, "1") },
		"bad base64":   func(h http.Header) { h.Set(webhook.HeaderSignature, "AAAA") },
	} {
		b.Run(name, func(b *testing.B) {
			r := signer.NewRequest("/", []byte(`{}`))
			change(r.Header)
			b.ReportAllocs()
			for range b.N {
				if _, err := v.Check(r); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

func decodeBase64(b *testing.B, s string) []byte {
	raw, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		b.Fatal(err)
	}
	return raw
}
