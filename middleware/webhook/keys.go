package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Key is a public key that genuine webhooks may be signed with.
type Key struct {
	Label  string // names the key in logs and in Signature.KeyLabel
	Public ed25519.PublicKey

	// NotBefore and NotAfter bound when the key is used, inclusive, by the
	// clock of this machine. Zero means no bound. They make a rotation end by
	// itself.
	NotBefore, NotAfter time.Time
}

func (k *Key) validAt(now time.Time) bool {
	return !now.Before(k.NotBefore) && (k.NotAfter.IsZero() || !now.After(k.NotAfter))
}

// KeyRing holds the keys of a [Verifier]. During a key rotation, and with
// several Telnyx accounts, there is more than one; every key is tried. Telnyx
// may sign with the old or the new key for up to an hour after a rotation.
//
// The zero value has no keys, and a Verifier that uses it rejects everything.
// A KeyRing is safe for concurrent use.
type KeyRing struct {
	keys atomic.Pointer[[]Key]
}

// NewKeyRing returns a ring of the given keys. It refuses keys that could
// never verify anything, and keys under which anybody can sign.
func NewKeyRing(keys ...Key) (*KeyRing, error) {
	r := new(KeyRing)
	if err := r.Replace(keys...); err != nil {
		return nil, err
	}
	return r, nil
}

// ParseKeys reads the keys of TELNYX_PUBLIC_KEY: one key, or several separated
// by commas, each optionally preceded by a label and a colon. A key may be
// written in each of the forms that [ParseKey] reads.
//
//	eu2zvPjh…                         one key, as Telnyx shows it
//	new:eu2zvPjh…,old:jrMBoswH…       two keys with labels
//
// Keys without a label are called "key1", "key2" and so on by their place.
func ParseKeys(list string) (*KeyRing, error) {
	if strings.TrimSpace(list) == "" {
		return nil, errors.New("webhook: no public key given: copy it from Mission Control (Keys & Credentials, Public Key)")
	}
	var keys []Key
	for i, item := range strings.Split(list, ",") {
		label, text := fmt.Sprintf("key%d", i+1), strings.TrimSpace(item)
		if l, t, found := strings.Cut(text, ":"); found && !strings.HasPrefix(text, "-----") {
			label, text = strings.TrimSpace(l), t
		}
		public, err := ParseKey(text)
		if err != nil {
			return nil, fmt.Errorf("webhook: public key %d of %d: %w", i+1, strings.Count(list, ",")+1, err)
		}
		keys = append(keys, Key{Label: label, Public: public})
	}
	return NewKeyRing(keys...)
}

// Replace replaces the keys of the ring, for requests that arrive from now on.
// If it returns an error the ring is unchanged.
func (r *KeyRing) Replace(keys ...Key) error {
	seen := make(map[string]bool, len(keys))
	own := make([]Key, len(keys))
	for i, k := range keys {
		if err := checkPublicKey(k.Public); err != nil {
			return fmt.Errorf("webhook: public key %q: %w", k.Label, err)
		}
		if seen[k.Label] {
			return fmt.Errorf("webhook: two public keys have the label %q: labels must differ", k.Label)
		}
		seen[k.Label] = true
		if !k.NotAfter.IsZero() && k.NotAfter.Before(k.NotBefore) {
			return fmt.Errorf("webhook: public key %q: NotAfter lies before NotBefore", k.Label)
		}
		own[i] = k
		own[i].Public = bytes.Clone(k.Public)
	}
	r.keys.Store(&own)
	return nil
}

// Labels returns the labels of the keys in the order in which they are tried.
func (r *KeyRing) Labels() []string {
	var labels []string
	for _, k := range r.load() {
		labels = append(labels, k.Label)
	}
	return labels
}

// Keys returns a copy of the keys in the order in which they are tried.
func (r *KeyRing) Keys() []Key { return slices.Clone(r.load()) }

func (r *KeyRing) load() []Key {
	if r == nil {
		return nil
	}
	if keys := r.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// ParseKey reads one Ed25519 public key: base64 of the 32 raw bytes, as Telnyx
// shows it; base64 of the SPKI DER form; PEM; or "whpk_" and base64, as in
// Standard Webhooks. White space around it is ignored.
func ParseKey(s string) (ed25519.PublicKey, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errors.New("empty key")
	}
	var raw []byte
	if strings.HasPrefix(s, "-----") {
		block, rest := pem.Decode([]byte(s))
		if block == nil || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("not a PEM block: paste it whole, with its BEGIN and END lines")
		}
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("PEM block is a %q, not a PUBLIC KEY", block.Type)
		}
		raw = block.Bytes
	} else {
		s = strings.TrimPrefix(s, "whpk_")
		var err error
		// The decoder would skip line breaks: a key has none inside.
		if raw, err = base64.StdEncoding.Strict().DecodeString(s); err != nil || strings.ContainsAny(s, "\r\n") {
			return nil, errors.New("not standard base64: a Telnyx public key is 44 characters that end in \"=\"")
		}
	}
	if len(raw) != ed25519.PublicKeySize {
		if raw = fromSPKI(raw); raw == nil {
			return nil, errors.New("not an Ed25519 public key: expected 32 bytes, or 44 in SPKI form (is it a secret or an API key?)")
		}
	}
	if err := checkPublicKey(raw); err != nil {
		return nil, err
	}
	return raw, nil
}

func fromSPKI(der []byte) ed25519.PublicKey {
	parsed, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil
	}
	key, _ := parsed.(ed25519.PublicKey)
	return key
}

// checkPublicKey refuses 32 bytes that crypto/ed25519 would accept but that are
// not a key. Verify accepts forged signatures under points of low order (a
// zero-filled key is one), so a slip in the configuration would silently turn
// verification off.
func checkPublicKey(k ed25519.PublicKey) error {
	if len(k) != ed25519.PublicKeySize {
		return fmt.Errorf("%d bytes long, an Ed25519 public key has %d", len(k), ed25519.PublicKeySize)
	}
	x, y, ok := decompress(k)
	if !ok {
		return errors.New("not a point on the curve: it was cut or mistyped")
	}
	// Doubling three times multiplies by the cofactor 8, which takes every
	// point of low order, and no other, to the identity (0, 1).
	for range 3 {
		x, y = double(x, y)
	}
	if x.Sign() == 0 && y.Cmp(one) == 0 {
		return errors.New("a point of low order, under which anybody could sign: is the key zero-filled?")
	}
	return nil
}

// The field and the curve -x² + y² = 1 + d·x²·y² (RFC 8032, section 5.1).
// This arithmetic sees public keys only, once, at configuration; it has no
// need to be fast or to run in constant time.
var (
	one   = big.NewInt(1)
	prime = new(big.Int).Sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	curve = mul(big.NewInt(-121665), inverse(big.NewInt(121666)))
)

func mul(a, b *big.Int) *big.Int { c := new(big.Int).Mul(a, b); return c.Mod(c, prime) }
func inverse(a *big.Int) *big.Int {
	return new(big.Int).ModInverse(new(big.Int).Mod(a, prime), prime)
}

// decompress returns the point that k encodes, or false if k is not the
// canonical encoding of a point (RFC 8032, section 5.1.3).
func decompress(k ed25519.PublicKey) (x, y *big.Int, ok bool) {
	le := bytes.Clone(k)
	odd := uint(le[31] >> 7)
	le[31] &= 0x7f
	for i, j := 0, len(le)-1; i < j; i, j = i+1, j-1 {
		le[i], le[j] = le[j], le[i]
	}
	y = new(big.Int).SetBytes(le)
	if y.Cmp(prime) >= 0 {
		return nil, nil, false
	}
	yy := mul(y, y)
	num := new(big.Int).Sub(yy, one)
	den := new(big.Int).Add(mul(curve, yy), one)
	x = new(big.Int).ModSqrt(mul(num.Mod(num, prime), inverse(den)), prime)
	if x == nil {
		return nil, nil, false
	}
	if x.Bit(0) != odd {
		if x.Sign() == 0 {
			return nil, nil, false
		}
		x.Sub(prime, x)
	}
	return x, y, true
}

func double(x, y *big.Int) (*big.Int, *big.Int) {
	xx, yy := mul(x, x), mul(y, y)
	dxxyy := mul(curve, mul(xx, yy))
	x2 := mul(mul(big.NewInt(2), mul(x, y)), inverse(new(big.Int).Add(one, dxxyy)))
	y2 := mul(new(big.Int).Add(yy, xx), inverse(new(big.Int).Sub(one, dxxyy)))
	return x2, y2
}
