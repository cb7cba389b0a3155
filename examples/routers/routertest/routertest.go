// Package routertest checks that a server receives webhooks.
package routertest

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

// Run sends genuine and other requests to the server that newHandler returns
// for a public key.
func Run(t *testing.T, newHandler func(publicKey string) (http.Handler, error)) {
	telnyx := webhooktest.NewSigner()
	handler, err := newHandler(base64.StdEncoding.EncodeToString(telnyx.Public()))
	if err != nil {
		t.Fatal(err)
	}
	serve := func(r *http.Request) int {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, r)
		return rec.Code
	}
	body := webhooktest.Sample("message.received")
	if code := serve(telnyx.NewRequest("/webhooks", body)); code != http.StatusOK {
		t.Errorf("genuine webhook: %d, want 200", code)
	}
	if code := serve(webhooktest.NewSigner().NewRequest("/webhooks", body)); code != http.StatusUnauthorized {
		t.Errorf("webhook signed by somebody else: %d, want 401", code)
	}
	if code := serve(httptest.NewRequest("GET", "/", nil)); code != http.StatusOK {
		t.Errorf("the page that was there before: %d, want 200", code)
	}
	if _, err := newHandler(""); err == nil {
		t.Error("a server without a key starts")
	}
}
