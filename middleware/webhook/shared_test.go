package webhook_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// sharedFile reads reference material that lies beside the repository, where
// CI has it. It is not ours to commit.
func sharedFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", name))
	if err != nil {
		t.Skipf("the reference material is not beside the repository: %v", err)
	}
	return b
}

// TestCollectedSamples decodes every collected body: its type is found, no
// byte is lost, and nothing is ambiguous.
func TestCollectedSamples(t *testing.T) {
	var index []struct {
		File        string
		EventType   string `json:"event_type"`
		Envelope    string
		ContentType string `json:"content_type"`
	}
	if err := json.Unmarshal(sharedFile(t, "samples/INDEX.json"), &index); err != nil {
		t.Fatal(err)
	}
	shapes := map[webhook.Shape]int{}
	for _, sample := range index {
		body := sharedFile(t, "samples/"+sample.File)
		contentType, _, _ := strings.Cut(sample.ContentType, " ")
		if strings.HasSuffix(sample.File, ".json") {
			contentType = "application/json"
		}
		e := webhook.Decode(contentType, body)
		shapes[e.Shape]++
		if e.Ambiguous != "" || !bytes.Equal(e.Raw, body) {
			t.Errorf("%s: ambiguous %q, raw bytes kept: %v", sample.File, e.Ambiguous, bytes.Equal(e.Raw, body))
		}
		if e.Type != sample.EventType && (e.Shape == webhook.ShapeV2 || e.Shape == webhook.ShapeV2NoMeta || strings.HasSuffix(sample.File, ".form")) &&
			!bytes.Contains(body, []byte(`"`+e.Type+`"`)) {
			t.Errorf("%s: shape %s, type %q, want %q", sample.File, e.Shape, e.Type, sample.EventType)
		}
		if e.Shape == webhook.ShapeRaw && !strings.HasPrefix(sample.EventType, "number_order") && !strings.HasPrefix(sample.EventType, "dynamic_variables") {
			t.Errorf("%s (%s) was not recognised", sample.File, sample.EventType)
		}
	}
	if len(index) < 200 || len(shapes) < 10 {
		t.Errorf("only %d samples in %d shapes", len(index), len(shapes))
	}
	t.Logf("%d samples: %v", len(index), shapes)
}

// TestTelnyxVectors runs the published and derived signature vectors. Where
// implementations differ about spelling, ours is the strict one.
func TestTelnyxVectors(t *testing.T) {
	strict := map[string]bool{ // right bytes in a spelling that Telnyx does not send
		"sig-urlsafe-b64": true, "sig-nopad-b64": true, "sig-trailing-newline": true,
	}
	var file struct {
		Vectors []struct {
			Name, Timestamp, Signature string
			Body                       string `json:"body_base64"`
			PublicKey                  string `json:"public_key"`
			Valid                      bool   `json:"signature_valid"`
		}
	}
	if err := json.Unmarshal(sharedFile(t, "vectors/telnyx_signature_vectors.json"), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) < 20 {
		t.Fatalf("only %d vectors", len(file.Vectors))
	}
	for _, vec := range file.Vectors {
		t.Run(vec.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The bubble's clock starts in 2000: go to the vector's time.
				seconds, err := strconv.ParseInt(vec.Timestamp, 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				<-time.After(time.Until(time.Unix(seconds, 0)))
				body, err := base64.StdEncoding.DecodeString(vec.Body)
				if err != nil {
					t.Fatal(err)
				}
				ring, err := webhook.ParseKeys(vec.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				h := http.Header{}
				h.Set(webhook.HeaderTimestamp, vec.Timestamp)
				h.Set(webhook.HeaderSignature, vec.Signature)
				v := webhook.Verifier{Keys: ring}
				_, err = v.Verify(h, body)
				if want := vec.Valid && !strict[vec.Name]; (err == nil) != want {
					t.Errorf("Verify = %v, want valid: %v", err, want)
				}
			})
		})
	}
}
