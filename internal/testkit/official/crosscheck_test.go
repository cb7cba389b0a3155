package official

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

const crossChecks = 500

type signedBody struct {
	Body      string `json:"body"`
	Timestamp string `json:"timestamp"`
	Signature string `json:"signature"`
}

// TestCrossCheck: what we sign the official client accepts, and what Node
// signs we accept, for many random bodies.
func TestCrossCheck(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("signed here", func(t *testing.T) {
		var lines bytes.Buffer
		for range crossChecks {
			body, err := json.Marshal(randomValue(0))
			if err != nil {
				t.Fatal(err)
			}
			line := signedBody{Body: string(body)}
			line.Timestamp, line.Signature = webhook.Sign(private, time.Now(), body)
			if err := json.NewEncoder(&lines).Encode(line); err != nil {
				t.Fatal(err)
			}
		}
		file := filepath.Join(t.TempDir(), "signed.jsonl")
		if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := Command(t, []string{"TELNYX_PUBLIC_KEY=" + base64.StdEncoding.EncodeToString(public)}, "crosscheck.mjs", "verify", file)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != strconv.Itoa(crossChecks) {
			t.Errorf("the official client accepted %s of %d, %v", got, crossChecks, err)
		}
	})
	t.Run("signed by Node", func(t *testing.T) {
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			t.Fatal(err)
		}
		cmd := Command(t, []string{"PRIVATE_KEY=" + base64.StdEncoding.EncodeToString(der)}, "crosscheck.mjs", "sign", strconv.Itoa(crossChecks))
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		ring, err := webhook.NewKeyRing(webhook.Key{Label: "node", Public: public})
		if err != nil {
			t.Fatal(err)
		}
		v := &webhook.Verifier{Keys: ring}
		n := 0
		for line := range bytes.Lines(out) {
			var s signedBody
			if err := json.Unmarshal(line, &s); err != nil {
				t.Fatal(err)
			}
			h := http.Header{webhook.HeaderTimestamp: {s.Timestamp}, webhook.HeaderSignature: {s.Signature}}
			e, err := v.Verify(h, []byte(s.Body))
			if err != nil || e.Type != "cross.check" || e.ID != strconv.Itoa(n) {
				t.Errorf("%v, %+v: %.200s", err, e, s.Body)
			}
			n++
		}
		if n != crossChecks {
			t.Errorf("%d bodies, want %d", n, crossChecks)
		}
	})
}

// randomValue returns an object that both sides can read as JSON.
func randomValue(depth int) any {
	letters := []rune("aZ0 \"\\\n\t/é中🚀\u2028<&\u0001")
	text := func() string {
		r := make([]rune, rand.IntN(30))
		for i := range r {
			r[i] = letters[rand.IntN(len(letters))]
		}
		return string(r)
	}
	object := map[string]any{"event_type": text()}
	for i := range rand.IntN(6) {
		name := strconv.Itoa(i) + text()
		switch kind := rand.IntN(5); {
		case kind == 0 && depth < 4:
			object[name] = randomValue(depth + 1)
		case kind == 1:
			object[name] = rand.Int64()
		case kind == 2:
			object[name] = rand.NormFloat64()
		case kind == 3:
			object[name] = []any{text(), nil, true}
		default:
			object[name] = text()
		}
	}
	return object
}
