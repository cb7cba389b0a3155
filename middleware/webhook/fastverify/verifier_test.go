package fastverify

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"encoding/json"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

func generate(t testing.TB) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

// TestVectorsOfTheMiddleware runs the vectors of package webhook through its
// Verifier, with this one in it.
func TestVectorsOfTheMiddleware(t *testing.T) {
	files, err := filepath.Glob("../testdata/vectors/*.json")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var vec struct {
			Scheme, Expect string
			PublicKeys     []string `json:"public_keys"`
			Now            int64
			Headers        http.Header
			Body           []byte `json:"body_base64"`
		}
		if err := json.Unmarshal(text, &vec); err != nil {
			t.Fatal(err)
		}
		header := http.Header{}
		for name, values := range vec.Headers {
			header[http.CanonicalHeaderKey(name)] = values
		}
		ring, err := webhook.ParseKeys(strings.Join(vec.PublicKeys, ","))
		if err != nil {
			t.Fatal(err)
		}
		fast, err := New(ring.Keys()...)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			<-time.After(time.Until(time.Unix(vec.Now, 0)))
			v := webhook.Verifier{Keys: ring, VerifyFunc: fast.Verify}
			if vec.Scheme == "standard-webhooks" {
				v.Scheme = webhook.SchemeStandardWebhooks
			}
			if _, err := v.Verify(header, vec.Body); (err == nil) != (vec.Expect == "accept") {
				t.Errorf("%s: %v, want %s", filepath.Base(file), err, vec.Expect)
			}
		})
	}
}

// TestOtherKeys: under a key without a table the standard library decides, and
// the zero Verifier has no tables.
func TestOtherKeys(t *testing.T) {
	public, private := generate(t)
	other, _ := generate(t)
	message := []byte("message")
	sig := ed25519.Sign(private, message)
	with, err := New(webhook.Key{Public: public})
	if err != nil {
		t.Fatal(err)
	}
	without, err := New(webhook.Key{Public: other})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]*Verifier{"with a table": with, "without": without, "zero": new(Verifier)} {
		if !v.Verify(public, message, sig) {
			t.Errorf("%s: a valid signature is refused", name)
		}
		if v.Verify(other, message, sig) || v.Verify(public, []byte("another"), sig) {
			t.Errorf("%s: an invalid signature is accepted", name)
		}
	}
	if with.find(public) == nil || with.find(other) != nil {
		t.Error("the table is that of another key")
	}
}

// TestBadKeys are refused by New, by label, and do to Verify what they do to
// ed25519.Verify.
func TestBadKeys(t *testing.T) {
	good, private := generate(t)
	another, _ := generate(t)
	sig := ed25519.Sign(private, nil)
	v, err := New(webhook.Key{Label: "good", Public: good})
	if err != nil {
		t.Fatal(err)
	}
	table := v.find(good)
	notAPoint := append(ed25519.PublicKey{2}, make([]byte, 31)...)
	if ed25519.Verify(notAPoint, nil, sig) || v.Verify(notAPoint, nil, sig) {
		t.Error("accepted under a key that is not a point")
	}
	for _, tt := range []struct {
		public ed25519.PublicKey
		want   string
	}{
		{nil, `"bad" is 0 bytes long`},
		{good[:31], `"bad" is 31 bytes long`},
		{append(good[:32:32], 0), `"bad" is 33 bytes long`},
		{notAPoint, `"bad" is not a point`},
	} {
		err := v.Replace(webhook.Key{Label: "new", Public: another}, webhook.Key{Label: "bad", Public: tt.public})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%x: %v, want %s", tt.public, err, tt.want)
		}
		if v.find(good) != table || v.find(another) != nil {
			t.Errorf("%x: an error has changed the keys", tt.public)
		}
		if len(tt.public) == ed25519.PublicKeySize {
			continue
		}
		if want, got := panicOf(func() { ed25519.Verify(tt.public, nil, sig) }), panicOf(func() { v.Verify(tt.public, nil, sig) }); got != want || got == "<nil>" {
			t.Errorf("%x: panics with %q, want %q", tt.public, got, want)
		}
	}
}

func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// TestBadSignatures have the wrong length, or are nil.
func TestBadSignatures(t *testing.T) {
	public, private := generate(t)
	v, err := New(webhook.Key{Public: public})
	if err != nil {
		t.Fatal(err)
	}
	sig := ed25519.Sign(private, nil)
	if !v.Verify(public, nil, sig) || !v.Verify(public, []byte{}, sig) {
		t.Error("the signature of an empty message is refused")
	}
	for _, bad := range [][]byte{nil, {}, sig[:32], sig[:63], append(sig[:64:64], 0), make([]byte, 64), make([]byte, 128)} {
		if v.Verify(public, nil, bad) {
			t.Errorf("accepted: %x", bad)
		}
	}
}

// TestReplace: the tables of keys that stay are kept, and made of copies.
func TestReplace(t *testing.T) {
	a, private := generate(t)
	b, _ := generate(t)
	v, err := New(webhook.Key{Label: "a", Public: a}, webhook.Key{Label: "again", Public: a})
	if err != nil {
		t.Fatal(err)
	}
	table := v.find(a)
	if err := v.Replace(webhook.Key{Label: "b", Public: b}, webhook.Key{Label: "a", Public: a}); err != nil {
		t.Fatal(err)
	}
	if v.find(a) != table || v.find(b) == nil || &v.find(b).base[0] != &table.base[0] {
		t.Error("a table was made again")
	}
	kept := append(ed25519.PublicKey{}, a...)
	clear(a)
	if message := []byte("m"); !v.Verify(kept, message, ed25519.Sign(private, message)) {
		t.Error("the table shares the bytes of the caller")
	}
	if err := v.Replace(); err != nil || v.find(kept) != nil || len(v.load()) != 0 {
		t.Errorf("tables are left: %v", err)
	}
}

// TestReplaceWhileVerifying: keys come and go, and verdicts stay right.
func TestReplaceWhileVerifying(t *testing.T) {
	a, privateA := generate(t)
	b, privateB := generate(t)
	message := []byte("message")
	sigs := map[string][]byte{string(a): ed25519.Sign(privateA, message), string(b): ed25519.Sign(privateB, message)}
	v := new(Verifier)
	var replacing, verifying sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		verifying.Go(func() {
			for {
				for public, sig := range sigs {
					if !v.Verify([]byte(public), message, sig) || v.Verify([]byte(public), message[1:], sig) {
						t.Error("a wrong verdict while keys are replaced")
						return
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for i := range 2 {
		replacing.Go(func() {
			for n := range 10 {
				keys := []webhook.Key{{Public: a}, {Public: b}}
				if err := v.Replace(keys[(n+i)%2:]...); err != nil {
					t.Error(err)
				}
				_ = v.Replace(keys[:(n+i)%2]...)
			}
		})
	}
	replacing.Wait()
	close(stop)
	verifying.Wait()
}

// TestShadowReports a difference, which a broken table makes, and answers with
// the verdict of the standard library all the same.
func TestShadowReports(t *testing.T) {
	public, private := generate(t)
	v, err := New(webhook.Key{Public: public})
	if err != nil {
		t.Fatal(err)
	}
	var got []Difference
	shadow := v.Shadow(func(d Difference) { got = append(got, d) })
	message := []byte("message")
	sig := ed25519.Sign(private, message)
	if !shadow(public, message, sig) || shadow(public, message[1:], sig) || len(got) != 0 {
		t.Fatalf("differences without a reason: %v", got)
	}
	clear(v.find(public).table)
	if !shadow(public, message, sig) {
		t.Error("the standard library did not decide")
	}
	if len(got) != 1 || !got[0].Standard || string(got[0].Public) != string(public) || string(got[0].Message) != "message" || string(got[0].Signature) != string(sig) {
		t.Errorf("differences: %v", got)
	}
	other, otherPrivate := generate(t)
	if !shadow(other, message, ed25519.Sign(otherPrivate, message)) || len(got) != 1 {
		t.Errorf("a key without a table: %v", got)
	}
}

func TestVerifyDoesNotAllocate(t *testing.T) {
	public, private := generate(t)
	v, err := New(webhook.Key{Public: public})
	if err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 1400)
	sig := ed25519.Sign(private, message)
	if n := testing.AllocsPerRun(100, func() { v.Verify(public, message, sig) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
