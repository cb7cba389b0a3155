package fastverify

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// readShared reads vectors that lie beside the repository, where CI has them.
// They are not ours to commit.
func readShared(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "shared", "vectors", name))
	if err != nil {
		t.Skipf("the reference material is not beside the repository: %v", err)
	}
	if err := json.Unmarshal(b, v); err != nil {
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

// verdicts are Verifiers with tables for one key each.
type verdicts map[string]*Verifier

// of returns the verdict of a Verifier that has a table for the key, and fails
// the test if ed25519.Verify has another one, or if the shadow finds that.
func (all verdicts) of(t *testing.T, public, message, sig []byte) bool {
	t.Helper()
	want := ed25519.Verify(public, message, sig)
	v := all[string(public)]
	if v == nil {
		var err error
		if v, err = New(webhook.Key{Public: public}); err != nil {
			if want {
				t.Errorf("key %x is refused: %v", public, err)
			}
			v = new(Verifier)
		}
		all[string(public)] = v
	}
	if got := v.Verify(public, message, sig); got != want {
		t.Errorf("key %x, message %x, signature %x: %v, want %v", public, message, sig, got, want)
	}
	shadow := v.Shadow(func(d Difference) { t.Errorf("the shadow differs: %+v", d) })
	if shadow(public, message, sig) != want {
		t.Errorf("key %x: the shadow does not answer with the verdict of the standard library", public)
	}
	return want
}

func TestWycheproof(t *testing.T) {
	var file struct {
		TestGroups []struct {
			PublicKey struct{ Pk string }
			Tests     []struct {
				ID               int `json:"tcId"`
				Comment          string
				Msg, Sig, Result string
			}
		}
	}
	readShared(t, "wycheproof_ed25519_test.json", &file)
	n, all := 0, make(verdicts)
	for _, group := range file.TestGroups {
		for _, tt := range group.Tests {
			n++
			got := all.of(t, unhex(t, group.PublicKey.Pk), unhex(t, tt.Msg), unhex(t, tt.Sig))
			if got != (tt.Result == "valid") {
				t.Errorf("%d (%s): %v, want %s", tt.ID, tt.Comment, got, tt.Result)
			}
		}
	}
	if n < 150 {
		t.Errorf("only %d vectors", n)
	}
}

func TestCCTV(t *testing.T) {
	var vectors []struct{ Key, Sig, Msg string }
	readShared(t, "cctv_ed25519vectors.json", &vectors)
	valid, all := 0, make(verdicts)
	for _, tt := range vectors {
		if all.of(t, unhex(t, tt.Key), []byte(tt.Msg), unhex(t, tt.Sig)) {
			valid++
		}
	}
	if len(vectors) < 900 || valid == 0 || valid == len(vectors) {
		t.Errorf("%d vectors, of which %d are valid", len(vectors), valid)
	}
}

func TestSpeccheck(t *testing.T) {
	var vectors []struct {
		Message, Signature string
		PubKey             string `json:"pub_key"`
	}
	readShared(t, "ed25519_speccheck_cases.json", &vectors)
	all := make(verdicts)
	valid := ""
	for i, tt := range vectors {
		if all.of(t, unhex(t, tt.PubKey), unhex(t, tt.Message), unhex(t, tt.Signature)) {
			valid += fmt.Sprint(i, " ")
		}
	}
	if want := "0 1 2 3 11 "; len(vectors) != 12 || valid != want {
		t.Errorf("of %d vectors %sare valid, want %s", len(vectors), valid, want)
	}
}
