package official

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// TestClientForms is what MIGRATING.md says of the forms in which the clients take a
// webhook: what they refuse looks like a forgery.
func TestClientForms(t *testing.T) {
	Scripts(t) // skips all of it
	const (
		ok        = "ok"
		missing   = "Missing required header"
		different = "signature does not match"
		anyError  = ""
	)
	refused := map[string]string{"text": anyError, "Buffer": anyError, "object from Headers": anyError, "Uint8Array": anyError, "Headers": missing, "key with a newline": anyError}
	want := map[string]map[string]string{ // by client: "ok", or what the error has
		"telnyx":      {"text": ok, "Buffer": ok, "object from Headers": ok, "Uint8Array": different, "Headers": missing, "key with a newline": "Invalid key format"},
		"telnyx-7.17": refused,
		"telnyx-6.83": {"text": ok, "Buffer": ok, "object from Headers": ok, "Uint8Array": different, "Headers": missing, "key with a newline": ok},
		"telnyx-5.51": {"text": ok, "Buffer": ok, "object from Headers": ok, "Uint8Array": anyError, "Headers": missing, "key with a newline": ok},
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"data":{"event_type":"message.received","id":"7b6c","payload":{"text":"zażółć"}}}`
	timestamp, signature := webhook.Sign(private, time.Now(), []byte(body))
	for _, client := range Clients() {
		for _, how := range []string{"import", "require"} {
			t.Run(client+" "+how, func(t *testing.T) {
				want := want[client]
				if client == "telnyx-5.51" && how == "import" {
					want = refused // nacl of its module for import is not what tweetnacl exports
				}
				out, err := Command(t, nil, "forms.mjs", client, how, base64.StdEncoding.EncodeToString(public), body, timestamp, signature).Output()
				if err != nil {
					t.Fatal(err)
				}
				var got map[string]string
				if err := json.Unmarshal(out, &got); err != nil || len(got) != len(want) {
					t.Fatalf("%v: %s", err, out)
				}
				for form, text := range want {
					if (got[form] == ok) != (text == ok) || !strings.Contains(got[form], text) {
						t.Errorf("%s: %q, want %q", form, got[form], text)
					}
				}
			})
		}
	}
}

// TestClientBytes: telnyx 2 verifies bytes, and calls text another signature.
func TestClientBytes(t *testing.T) {
	Scripts(t)
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"data":{"event_type":"message.received"}}`
	timestamp, signature := webhook.Sign(private, time.Now(), []byte(body))
	out, err := Command(t, nil, "bytes.mjs", base64.StdEncoding.EncodeToString(public), body, timestamp, signature).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if err := json.Unmarshal(out, &got); err != nil || len(got) != 5 {
		t.Fatalf("%v: %s", err, out)
	}
	for form, result := range got {
		want := "does not match the payload"
		if strings.HasPrefix(form, "bytes") {
			want = "ok"
		}
		if !strings.Contains(result, want) {
			t.Errorf("%s: %q, want %q", form, result, want)
		}
	}
}
