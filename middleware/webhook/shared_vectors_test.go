package webhook

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const sharedVectors = "../../../shared/vectors"

func readShared(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sharedVectors, name))
	if err != nil {
		t.Skipf("the reference material is not beside the repository: %v", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// accepts reports whether a Verifier with that key would accept that
// signature of that message.
func accepts(public, message, sig []byte) bool {
	ring, err := NewKeyRing(Key{Label: "k", Public: public})
	if err != nil || len(sig) != 64 || sig[63]&0xe0 != 0 {
		return false
	}
	v := &Verifier{Keys: ring}
	p := proof{signature: signature(sig)}
	return v.match(&p, message, time.Now()) != nil
}

func TestWycheproof(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKey struct{ Pk string }
			Tests     []struct {
				TcID             int `json:"tcId"`
				Comment          string
				Msg, Sig, Result string
			}
		}
	}
	readShared(t, "wycheproof_ed25519_test.json", &file)
	n := 0
	for _, g := range file.TestGroups {
		for _, tt := range g.Tests {
			n++
			if got := accepts(unhex(t, g.PublicKey.Pk), unhex(t, tt.Msg), unhex(t, tt.Sig)); got != (tt.Result == "valid") {
				t.Errorf("case %d (%s): accepted %v, want %s", tt.TcID, tt.Comment, got, tt.Result)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d cases", n)
	}
}

// TestOddKeysAreRefused: under a key of low order anybody can sign, so no
// vector with one may be accepted, whatever other libraries say.
func TestOddKeysAreRefused(t *testing.T) {
	var cctv []struct {
		Number        int
		Key, Sig, Msg string
		Flags         []string
	}
	readShared(t, "cctv_ed25519vectors.json", &cctv)
	refused := 0
	for _, tt := range cctv {
		bad := slices.Contains(tt.Flags, "low_order_A") || slices.Contains(tt.Flags, "non_canonical_A")
		_, err := NewKeyRing(Key{Public: unhex(t, tt.Key)})
		if bad != (err != nil) {
			t.Errorf("vector %d %v: key refused: %v", tt.Number, tt.Flags, err)
		}
		if err != nil {
			refused++
		}
		if accepts(unhex(t, tt.Key), []byte(tt.Msg), unhex(t, tt.Sig)) && bad {
			t.Errorf("vector %d %v: accepted", tt.Number, tt.Flags)
		}
	}
	if refused == 0 || len(cctv) < 900 {
		t.Errorf("%d of %d keys refused", refused, len(cctv))
	}
	var speccheck []struct {
		Message   string
		PubKey    string `json:"pub_key"`
		Signature string
	}
	readShared(t, "ed25519_speccheck_cases.json", &speccheck)
	for i, tt := range speccheck {
		key, sig := unhex(t, tt.PubKey), unhex(t, tt.Signature)
		_, err := NewKeyRing(Key{Public: key})
		// Cases 0, 1 and 10, 11 have keys of low order; 2 to 9 have not.
		if small := i <= 1 || i >= 10; small != (err != nil) {
			t.Errorf("case %d: key refused: %v", i, err)
		}
		_ = accepts(key, unhex(t, tt.Message), sig) // no panic
	}
}

// TestSchemeVectors are cases for several schemes, of which ours are run.
func TestSchemeVectors(t *testing.T) {
	var file struct {
		Vectors []struct {
			Name, Scheme, Key, Body, Reason string
			Headers                         map[string]string
			Now                             int64
			Valid                           bool
		}
	}
	readShared(t, "webhook_scheme_vectors.json", &file)
	ran := 0
	for _, vec := range file.Vectors {
		v := new(Verifier)
		switch {
		case vec.Scheme == "telnyx":
		case strings.Contains(vec.Name, "v1a"):
			v.Scheme = SchemeStandardWebhooks
		default:
			continue // made with a shared secret
		}
		ran++
		var err error
		if v.Keys, err = ParseKeys(vec.Key); err == nil {
			h := http.Header{}
			for name, value := range vec.Headers {
				h.Set(name, value)
			}
			// Not through Verify, which looks at the real clock.
			if _, rejected := v.verify(h, []byte(vec.Body), time.Unix(vec.Now, 0)); rejected != nil {
				err = rejected
			}
		}
		if (err == nil) != vec.Valid {
			t.Errorf("%s: %v, want valid: %v (%s)", vec.Name, err, vec.Valid, vec.Reason)
		}
	}
	if ran < 10 {
		t.Errorf("only %d vectors", ran)
	}
}

// TestJSONTestSuite: whatever it is, it is kept; what is no JSON object gets
// no route; a proper one is not called ambiguous without a reason.
func TestJSONTestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sharedVectors, "JSONTestSuite", "test_*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Skip("the reference material is not beside the repository")
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e := Decode("application/json", body)
		if !bytes.Equal(e.Raw, body) {
			t.Errorf("%s: bytes were not kept", file)
		}
		object := e.Payload != nil
		name := filepath.Base(file)
		switch {
		case strings.HasPrefix(name, "n_") && object:
			t.Errorf("%s: no JSON, and taken for an object", name)
		case strings.HasPrefix(name, "y_") && bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) && e.Ambiguous != "":
			t.Errorf("%s: valid, and called ambiguous: %s", name, e.Ambiguous)
		}
	}
}
