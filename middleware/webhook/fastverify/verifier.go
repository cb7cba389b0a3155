package fastverify

import (
	"crypto/ed25519"
	"fmt"
	"sync/atomic"

	"github.com/hookswitch/hookswitch/middleware/webhook"
)

// Verifier checks signatures, quickly for the keys that it has tables for and by
// [ed25519.Verify] for all others. The zero value has no tables. A Verifier is
// safe for concurrent use and must not be copied.
type Verifier struct {
	keys atomic.Pointer[map[encoded]*key]
}

// encoded is a public key as bytes.
type encoded = [ed25519.PublicKeySize]byte

// New returns a Verifier with tables for the given keys, of which it uses
// nothing but Public. It fails as [Verifier.Replace] does.
func New(keys ...webhook.Key) (*Verifier, error) {
	v := new(Verifier)
	if err := v.Replace(keys...); err != nil {
		return nil, err
	}
	return v, nil
}

// Replace makes tables for the given keys, unless there are some already, and
// drops those of other keys. It takes milliseconds for each new key, and 192 KiB
// of memory. It may be called at any time, also concurrently, and applies to
// later calls of Verify.
//
// It fails if a key is not the encoding of a point, and then changes nothing.
//
// Whether a signature is valid does not depend on what was replaced, only how
// long the check takes; so it does not matter whether Replace is called before
// or after [webhook.KeyRing.Replace].
func (v *Verifier) Replace(keys ...webhook.Key) error {
	old, next := v.load(), make(map[encoded]*key, len(keys))
	for _, k := range keys {
		if len(k.Public) != ed25519.PublicKeySize {
			return fmt.Errorf("fastverify: public key %q is %d bytes long, an Ed25519 public key has %d", k.Label, len(k.Public), ed25519.PublicKeySize)
		}
		public := encoded(k.Public)
		if next[public] != nil {
			continue
		}
		if old[public] != nil {
			next[public] = old[public]
			continue
		}
		made, err := newKey(public)
		if err != nil {
			return fmt.Errorf("fastverify: public key %q is not a point on the curve: it was cut or mistyped", k.Label)
		}
		next[public] = made
	}
	v.keys.Store(&next)
	return nil
}

// Verify reports whether sig is a valid signature of message by public. It has
// the signature and the verdict of [ed25519.Verify], and like it panics if the
// length of public is not [ed25519.PublicKeySize]. It does not allocate.
func (v *Verifier) Verify(public ed25519.PublicKey, message, sig []byte) bool {
	if k := v.find(public); k != nil {
		return k.verify(message, sig)
	}
	return ed25519.Verify(public, message, sig)
}

// Difference is a signature about which the verdicts differ. That is a bug of
// this package.
type Difference struct {
	Public             ed25519.PublicKey
	Message, Signature []byte // must not be changed, or kept beyond the call
	Standard           bool   // the verdict of ed25519.Verify
}

// Shadow returns a function for [webhook.Verifier.VerifyFunc] that answers with
// the verdict of [ed25519.Verify] and calls differ, which may be called
// concurrently, if that of this package is another one. Both are computed, so
// it takes longer than either.
func (v *Verifier) Shadow(differ func(Difference)) func(public ed25519.PublicKey, message, sig []byte) bool {
	return func(public ed25519.PublicKey, message, sig []byte) bool {
		standard := ed25519.Verify(public, message, sig)
		if k := v.find(public); k != nil && k.verify(message, sig) != standard {
			differ(Difference{public, message, sig, standard})
		}
		return standard
	}
}

// find returns the key with its table, or nil.
func (v *Verifier) find(public ed25519.PublicKey) *key {
	if len(public) != ed25519.PublicKeySize {
		return nil
	}
	return v.load()[encoded(public)]
}

func (v *Verifier) load() map[encoded]*key {
	if keys := v.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}
