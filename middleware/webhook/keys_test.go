package webhook_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"slices"
	"strings"
	"testing"

	"github.com/hookswitch/hookswitch/middleware/webhook"
	"github.com/hookswitch/hookswitch/middleware/webhook/webhooktest"
)

func TestParseKeyReadsEverySpelling(t *testing.T) {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	for name, text := range map[string]string{
		"base64 of the raw bytes": b64(public),
		"surrounded by space":     " \t" + b64(public) + "\r\n",
		"Standard Webhooks":       "whpk_" + b64(public),
		"base64 of SPKI DER":      b64(der),
		"PEM":                     string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	} {
		got, err := webhook.ParseKey(text)
		if err != nil || !slices.Equal(got, public) {
			t.Errorf("%s: %x, %v; want %x", name, got, err, public)
		}
	}
}

func TestParseKeyRefuses(t *testing.T) {
	b64hex := func(h string) string {
		raw, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(raw)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, key, hint string }{
		{"nothing", "", "empty"},
		{"an API key", "KEY0123456789ABCDEF_secretpart", "base64"},
		{"a secret of 64 bytes", base64.StdEncoding.EncodeToString(make([]byte, 64)), "32 bytes"},
		{"one byte short", base64.StdEncoding.EncodeToString(make([]byte, 31)), "32 bytes"},
		{"no padding", strings.TrimRight(base64.StdEncoding.EncodeToString(make([]byte, 32)), "="), "base64"},
		{"another kind of key", base64.StdEncoding.EncodeToString(ecDER), "not an Ed25519"},
		{"a PEM certificate", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "CERTIFICATE"},
		{"half a PEM block", "-----BEGIN PUBLIC KEY-----\nMCow", "PEM"},
		{"zeros (order 4)", b64hex(strings.Repeat("00", 32)), "low order"},
		{"zero with the other sign (order 4)", b64hex(strings.Repeat("00", 31) + "80"), "low order"},
		{"the identity", b64hex("01" + strings.Repeat("00", 31)), "low order"},
		{"order 2", b64hex("ec" + strings.Repeat("ff", 30) + "7f"), "low order"},
		{"order 8", b64hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "low order"},
		{"order 8, negated", b64hex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"), "low order"},
		{"another of order 8", b64hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "low order"},
		{"another of order 8, negated", b64hex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), "low order"},
		{"identity, not canonical", b64hex("ee" + strings.Repeat("ff", 30) + "7f"), "not a point"},
		{"identity with a sign", b64hex("01" + strings.Repeat("00", 30) + "80"), "not a point"},
		{"zero, not canonical", b64hex("ed" + strings.Repeat("ff", 30) + "7f"), "not a point"},
		{"ones", b64hex(strings.Repeat("ff", 32)), "not a point"},
		{"no point of the curve", b64hex("02" + strings.Repeat("00", 31)), "not a point"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := webhook.ParseKey(tt.key)
			if err == nil {
				t.Fatalf("accepted as %x", key)
			}
			if !strings.Contains(err.Error(), tt.hint) {
				t.Errorf("error %q does not say %q", err, tt.hint)
			}
			if len(tt.key) > 20 && strings.Contains(err.Error(), tt.key) {
				t.Errorf("error %q repeats what may be a secret", err)
			}
			if _, err := webhook.ParseKeys("a:" + tt.key); err == nil {
				t.Error("ParseKeys accepts it")
			}
		})
	}
}

func TestParseKeysLabels(t *testing.T) {
	a, b := publicText(t), publicText(t)
	for list, want := range map[string][]string{
		a:                            {"key1"},
		a + "," + b:                  {"key1", "key2"},
		" new : " + a + " ,old:" + b: {"new", "old"},
		"prod:" + a + ",\n" + b:      {"prod", "key2"},
	} {
		ring, err := webhook.ParseKeys(list)
		if err != nil {
			t.Errorf("ParseKeys(%q): %v", list, err)
			continue
		}
		if got := ring.Labels(); !slices.Equal(got, want) {
			t.Errorf("ParseKeys(%q) has labels %q, want %q", list, got, want)
		}
	}
	for _, list := range []string{"", "  ", a + ",", "x:" + a + ",x:" + b} {
		if _, err := webhook.ParseKeys(list); err == nil {
			t.Errorf("ParseKeys(%q) succeeded", list)
		}
	}
}

func TestReplaceKeepsTheRingWhenItFails(t *testing.T) {
	ring := webhooktest.NewSigner().Keys()
	if err := ring.Replace(webhook.Key{Label: "zero", Public: make([]byte, 32)}); err == nil {
		t.Fatal("a zero key was accepted")
	}
	if got := ring.Labels(); !slices.Equal(got, []string{"test"}) {
		t.Errorf("labels %q after a failed Replace", got)
	}
}

func publicText(t *testing.T) string {
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(public)
}

// keyOf returns the public key of a Signer under another label.
func keyOf(t *testing.T, label string, s *webhooktest.Signer) webhook.Key {
	t.Helper()
	return webhook.Key{Label: label, Public: s.Public()}
}

func ringOf(t *testing.T, label1 string, s1 *webhooktest.Signer, label2 string, s2 *webhooktest.Signer) *webhook.KeyRing {
	t.Helper()
	ring, err := webhook.NewKeyRing(keyOf(t, label1, s1), keyOf(t, label2, s2))
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func FuzzParseKeys(f *testing.F) {
	f.Add("new:eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg=,old:whpk_eu2zvPjhY6odxV34Z/EsRiERvTodkev4Fq0SlK90Izg=")
	f.Add("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----")
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Fuzz(func(t *testing.T, list string) {
		ring, err := webhook.ParseKeys(list)
		if err == nil && len(ring.Labels()) == 0 {
			t.Errorf("ParseKeys(%q) gave an empty ring and no error", list)
		}
	})
}
