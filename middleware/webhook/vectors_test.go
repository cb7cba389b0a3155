package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// TestVectors runs the published vectors; see their README.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var vec struct {
				Description, Scheme, Expect string
				PublicKeys                  []string `json:"public_keys"`
				Now                         int64
				Headers                     map[string][]string
				Body                        string `json:"body_base64"`
				EventType                   string `json:"event_type"`
				EventID                     string `json:"event_id"`
			}
			if err := json.Unmarshal(text, &vec); err != nil {
				t.Fatal(err)
			}
			body, err := base64.StdEncoding.DecodeString(vec.Body)
			if err != nil {
				t.Fatal(err)
			}
			header := http.Header{}
			for name, values := range vec.Headers {
				for _, v := range values {
					header.Add(name, v)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				<-time.After(time.Until(time.Unix(vec.Now, 0)))
				ring, err := webhook.ParseKeys(strings.Join(vec.PublicKeys, ","))
				if err != nil {
					t.Fatal(err)
				}
				v := webhook.Verifier{Keys: ring}
				if vec.Scheme == "standard-webhooks" {
					v.Scheme = webhook.SchemeStandardWebhooks
				}
				e, err := v.Verify(header, body)
				got := "accept"
				if rejected, ok := errors.AsType[*webhook.Error](err); ok {
					got = rejected.Reason
				}
				if got != vec.Expect || !strings.HasPrefix(filepath.Base(file), vec.Expect+"--") {
					t.Fatalf("%s: %s (%v), want %s", vec.Description, got, err, vec.Expect)
				}
				if err == nil && (e.Type != vec.EventType || e.ID != vec.EventID) {
					t.Errorf("%s: type %q id %q, want %q %q", vec.Description, e.Type, e.ID, vec.EventType, vec.EventID)
				}
				if x := v.Explain(header, body); x.Genuine != (err == nil) {
					t.Errorf("Explain disagrees:\n%s", x)
				}
			})
		})
	}
}
