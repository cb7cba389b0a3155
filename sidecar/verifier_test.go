package sidecar

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook/fastverify"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// TestVerifiers: what checks signatures can be changed while the sidecar runs,
// and so can the keys. The verdicts stay the same.
func TestVerifiers(t *testing.T) {
	text := func(s *webhooktest.Signer) string { return base64.StdEncoding.EncodeToString(s.Public()) }
	now, other := webhooktest.NewSigner(), webhooktest.NewSigner()
	r := startReloading(t, "TELNYX_PUBLIC_KEY="+text(now))
	post := func(by *webhooktest.Signer) int {
		t.Helper()
		req := by.NewRequest(r.here.Webhooks, webhooktest.Sample("call.hangup"))
		req.RequestURI = ""
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct {
		verifier string
		by       string // in the name of the function; "" for the standard library's
	}{{"standard", ""}, {"fast", "(*Verifier).Verify"}, {"shadow", "(*Verifier).Shadow"}, {"fast", "(*Verifier).Verify"}, {"standard", ""}} {
		now, other = other, now // each time with the other key
		r.set("HOOKSWITCH_VERIFIER="+tt.verifier, "TELNYX_PUBLIC_KEY="+text(now))
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		verify := r.accept.Verifier().VerifyFunc
		if by := runtime.FuncForPC(reflect.ValueOf(verify).Pointer()).Name(); (verify == nil) != (tt.by == "") || !strings.Contains(by, tt.by) {
			t.Errorf("%s: %q checks, want %q", tt.verifier, by, tt.by)
		}
		if good, bad := post(now), post(other); good != http.StatusOK || bad != http.StatusUnauthorized {
			t.Errorf("%s: %d for the key and %d for another, want 200 and 401", tt.verifier, good, bad)
		}
	}
	r.set("HOOKSWITCH_VERIFIER=quick")
	if err := r.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "HOOKSWITCH_VERIFIER") {
		t.Errorf("another verifier: %v", err)
	}
	if page := r.metricsPage(t); !strings.Contains(page, "hookswitch_verify_differences_total 0") {
		t.Error("differences were counted, or there is no metric of them")
	}
}

// TestVerdictsDiffer: a difference is counted, and logged without the message.
func TestVerdictsDiffer(t *testing.T) {
	r := startReloading(t, "HOOKSWITCH_VERIFIER=shadow")
	public, message, sig := make([]byte, ed25519.PublicKeySize), []byte("1700000000|+15550100077"), bytes.Repeat([]byte{7}, ed25519.SignatureSize)
	r.verdictsDiffer(fastverify.Difference{Public: public, Message: message, Signature: sig, Standard: true})
	r.verdictsDiffer(fastverify.Difference{Public: public, Message: message, Signature: nil}) // does not panic
	if page := r.metricsPage(t); !strings.Contains(page, "hookswitch_verify_differences_total 2") {
		t.Error("the differences were not counted")
	}
	r.stop()
	digest := sha512.Sum512(slices.Concat(sig[:32], public, message))
	for _, want := range []string{"level=ERROR", "code=verdicts-differ", "valid=true", hex.EncodeToString(sig), hex.EncodeToString(digest[:])} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log has no %q", want)
		}
	}
	if log := r.log.String(); strings.Contains(log, "15550100077") || strings.Contains(log, hex.EncodeToString(message)) {
		t.Error("the log has the message")
	}
}

// metricsPage returns what a scraper reads.
func (r *reloading) metricsPage(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(r.here.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}
